"""How much of a text is real words: a plain measure that a language model's samples improve."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

SHORTEST = 3
"""Letters of the shortest word that counts; chance makes shorter ones too often."""
LONGEST = 1000
"""Characters of the longest word that is put together from two pieces; longer ones are no words."""


def words_of(texts: Iterable[str]) -> frozenset[str]:
    """Collect the words of a text that comes in pieces; a word may lie across two pieces."""
    found: set[str] = set()
    rest = ""
    for text in texts:
        joined = rest + text
        whole = joined[-1:].isspace() or not joined
        rest = "" if whole else joined.rsplit(maxsplit=1)[-1]
        found.update(_words(joined[: len(joined) - len(rest)]))
        rest = rest[-LONGEST:]
    found.update(_words(rest))
    return frozenset(found)


def real_word_share(text: str, reference_words: Collection[str]) -> float:
    """Share of the words of `text` that are in `reference_words`, 0 to 1; 0 for a text without words.

    A word is what white space delimits, reduced to its letters, in lower case, of at least `SHORTEST` letters.
    """
    words = list(_words(text))
    return sum(word in reference_words for word in words) / len(words) if words else 0.0


def _words(text: str) -> Iterator[str]:
    for piece in text.split():
        word = piece.lower() if piece.isalpha() else "".join(filter(str.isalpha, piece)).lower()
        if len(word) >= SHORTEST:
            yield word
