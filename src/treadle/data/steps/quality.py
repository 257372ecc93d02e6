"""What can be measured of a text's quality in one pass, and the rules of known recipes over these features.

The features are those of Gopher (Rae et al. 2021, appendix A1.1), C4 (Raffel et al. 2020, section 2.2) and FineWeb
(Penedo et al. 2024, section 3.4), measured on words between white space. Of a very long document the first
`MOST_MEASURED` characters are measured.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from treadle.data.words_in_numbers import runs, word_numbers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

Preset = Literal["permissive", "gopher", "c4", "fineweb"]
MOST_MEASURED: Final = 4 << 20
_STOP_WORDS: Final = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})
_ENDS: Final = tuple(".?!\"'\u201d\u2019»")
_BULLETS: Final = ("•", "‣", "▪", "-", "*", "\u2013")
_LETTER = re.compile(r"[^\W\d_]")
_PARAGRAPHS = re.compile(r"\n{2,}")
_TOP_RUNS: Final = (2, 3, 4)
_REPEATED_RUNS: Final = (5, 6, 7, 8, 9, 10)
_LEAST_LIMIT: Final = 0.10
"""The lowest limit on repeated runs: where runs of five repeat less, longer ones need not be counted."""


class Measure:
    """Gathers the features of one document, piece by piece."""

    def __init__(self) -> None:
        self.size = 0
        self._spaces = 0
        self._words: Counter[str] = Counter()
        self._numbers: list[NDArray[np.uint64]] = []
        self._lines: Counter[str] = Counter()
        self._paragraphs: Counter[str] = Counter()
        self._symbols = self._braces = 0

    def add(self, piece: str) -> None:
        """Take in the next piece; beyond `MOST_MEASURED` nothing more is measured."""
        if self.size >= MOST_MEASURED:
            return
        words = piece.split()
        self.size += len(piece)
        self._spaces += len(piece) - sum(map(len, words))
        self._words.update(words)
        self._numbers.append(word_numbers(words))
        self._lines.update(line.strip() for line in piece.split("\n"))
        self._paragraphs.update(_PARAGRAPHS.split(piece.strip()))
        self._symbols += piece.count("#") + piece.count("…") + piece.count("...")
        self._braces += piece.count("{")

    def numbers(self) -> NDArray[np.uint64]:
        """The document's words as numbers, (N,)."""
        return np.concatenate(self._numbers) if self._numbers else np.empty(0, np.uint64)

    def features(self) -> dict[str, float]:
        """All features by name; shares are of characters where Gopher's are, else of words or lines."""
        count = sum(self._words.values())
        if not count:
            return {"words": 0}
        odd = [word for word in self._words if not word.isalpha() and not _LETTER.search(word)]
        letters = count - sum(self._words[word] for word in odd)
        stop = [word for word in _STOP_WORDS if any(shape in self._words for shape in (word, word.title()))]
        found: dict[str, float] = {
            "words": count,
            "distinct_words": len(self._words),
            "word_length": (self.size - self._spaces) / count,
            "symbols_to_words": self._symbols / count,
            "words_with_letters": letters / count,
            "stop_words": len(stop),
            "braces": self._braces,
        }
        found |= self._of_lines()
        found |= self._of_runs(count)
        return {name: round(float(value), 4) for name, value in found.items()}

    def _of_lines(self) -> dict[str, float]:
        blank = self._lines.pop("", 0)
        lines = max(sum(self._lines.values()), 1)
        characters = max(sum(len(line) * times for line, times in self._lines.items()), 1)
        repeated = sum(times - 1 for times in self._lines.values())
        repeated_characters = sum(len(line) * (times - 1) for line, times in self._lines.items() if times > 1)
        paragraphs = max(sum(self._paragraphs.values()), 1)
        size = max(sum(len(one) * times for one, times in self._paragraphs.items()), 1)
        again = sum(times - 1 for times in self._paragraphs.values())
        again_characters = sum(len(one) * (times - 1) for one, times in self._paragraphs.items() if times > 1)
        weighted = self._lines.items()
        return {
            "lines": lines,
            "blank_lines": blank,
            "bullet_lines": sum(times for line, times in weighted if line.startswith(_BULLETS)) / lines,
            "ellipsis_lines": sum(times for line, times in weighted if line.endswith(("...", "…"))) / lines,
            "ended_lines": sum(times for line, times in weighted if line.endswith(_ENDS)) / lines,
            "short_lines": sum(times for line, times in weighted if len(line) <= 30) / lines,
            "repeated_lines": repeated / lines,
            "repeated_line_characters": repeated_characters / characters,
            "repeated_paragraphs": again / paragraphs,
            "repeated_paragraph_characters": again_characters / size,
            "lorem_ipsum": float(any("lorem ipsum" in line.lower() for line in self._lines)),
        }

    def _of_runs(self, count: int) -> dict[str, float]:
        numbers = self.numbers()
        found = {f"top_{length}_words": _top_share(numbers, length) for length in _TOP_RUNS}
        for length in _REPEATED_RUNS:
            found[f"repeated_{length}_words"] = _repeated_share(numbers, length) if count > length else 0.0
            if found[f"repeated_{length}_words"] < _LEAST_LIMIT:
                break
        return found


def _top_share(numbers: NDArray[np.uint64], length: int) -> float:
    """Share of the words that the commonest run of `length` words covers."""
    found = runs(numbers, length)
    if len(found) < 2:
        return 0.0
    found.sort()
    edges = np.flatnonzero(np.concatenate(([True], found[1:] != found[:-1], [True])))
    most = int(np.diff(edges).max())
    return min(1.0, most * length / len(numbers)) if most > 1 else 0.0


def _repeated_share(numbers: NDArray[np.uint64], length: int) -> float:
    """Share of the words that lie in a run of `length` words that stood before in the document."""
    found = runs(numbers, length)
    if len(found) < 2:
        return 0.0
    order = np.argsort(found, kind="stable")
    ordered = found[order]
    again = np.zeros(len(found), bool)
    again[order[1:][ordered[1:] == ordered[:-1]]] = True
    if not again.any():
        return 0.0
    covered = np.zeros(len(numbers) + 1, np.int32)
    starts = np.flatnonzero(again)
    np.add.at(covered, starts, 1)
    np.add.at(covered, starts + length, -1)
    return float((np.cumsum(covered)[:-1] > 0).mean())


@dataclass(frozen=True, slots=True)
class Rule:
    """A feature and the range that it should lie in."""

    feature: str
    least: float = float("-inf")
    most: float = float("inf")

    def breach(self, features: dict[str, float]) -> str | None:
        """One phrase on what is wrong; None where nothing is, or the feature was not measured."""
        value = features.get(self.feature)
        if value is None or self.least <= value <= self.most:
            return None
        name = self.feature.replace("_", " ")
        if value < self.least:
            return f"{name} {value:g} < {self.least:g}"
        return f"{name} {value:g} > {self.most:g}"


_GOPHER_REPETITION: Final = (
    Rule("repeated_lines", most=0.30),
    Rule("repeated_paragraphs", most=0.30),
    Rule("repeated_line_characters", most=0.20),
    Rule("repeated_paragraph_characters", most=0.20),
    Rule("top_2_words", most=0.20),
    Rule("top_3_words", most=0.18),
    Rule("top_4_words", most=0.16),
    *(Rule(f"repeated_{length}_words", most=round(0.20 - length / 100, 2)) for length in _REPEATED_RUNS),
)
_RULES: Final[dict[str, tuple[Rule, ...]]] = {
    "permissive": (
        Rule("words", least=5),
        Rule("words_with_letters", least=0.5),
        Rule("word_length", least=1.5, most=20),
        Rule("repeated_line_characters", most=0.6),
        Rule("top_2_words", most=0.5),
    ),
    "gopher": (
        Rule("words", least=50, most=100_000),
        Rule("word_length", least=3, most=10),
        Rule("symbols_to_words", most=0.1),
        Rule("bullet_lines", most=0.9),
        Rule("ellipsis_lines", most=0.3),
        Rule("words_with_letters", least=0.8),
        Rule("stop_words", least=2),
        *_GOPHER_REPETITION,
    ),
    "c4": (
        Rule("words", least=50),
        Rule("lines", least=3),
        Rule("ended_lines", least=0.5),
        Rule("braces", most=0),
        Rule("lorem_ipsum", most=0),
    ),
    "fineweb": (
        Rule("words", least=50),
        Rule("ended_lines", least=0.12),
        Rule("repeated_line_characters", most=0.1),
        Rule("short_lines", most=0.67),
    ),
}
_NOT_OF_PROSE: Final = frozenset(
    {"short_lines", "ended_lines", "bullet_lines", "braces", "lines", "words_with_letters", "symbols_to_words"}
    | {"repeated_lines", "repeated_line_characters", "word_length", "stop_words"}
)
"""Features that tell nothing of verse, dialogue, code, tables and chats, whose lines are another thing."""


def breaches(features: dict[str, float], preset: str, form: str) -> list[str]:
    """Which rules of a preset a document breaks; rules about the lines of prose do not judge other forms."""
    found = (rule.breach(features) for rule in _RULES[preset] if form == "prose" or rule.feature not in _NOT_OF_PROSE)
    return [breach for breach in found if breach is not None]


def measured(pieces: Iterable[str]) -> dict[str, Any]:
    """The features of a text."""
    measure = Measure()
    for piece in pieces:
        measure.add(piece)
    return measure.features()
