"""The Steps of a dataset, one after another, over one document: its text in pieces, what was done in its metadata.

A text is cleaned while it is read, so that a document of any size passes through. What is found out on the way is
known when the last piece has been read: the metadata are complete then, not before, and a document may be refused at
its very end.
"""

from __future__ import annotations

import base64
import itertools
from typing import TYPE_CHECKING, Any, Final

from treadle.data.document import Document, RefusedError
from treadle.data.near_duplicates import band_keys, runs_of
from treadle.data.steps.boilerplate import stripped
from treadle.data.steps.catalog import STEPS
from treadle.data.steps.config import DatasetSettings
from treadle.data.steps.forms import form_of
from treadle.data.steps.language import language_of, require_languages
from treadle.data.steps.lines import beginning, whole_lines
from treadle.data.steps.quality import Measure, breaches
from treadle.data.steps.repair import normalised, repaired
from treadle.data.steps.whitespace import tidied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BANDS_KEY: Final = "bands"
"""Where a document on its way carries the keys by which near-duplicates are found, in base 64."""
_KEPT: Final = (
    "words", "distinct_words", "word_length", "words_with_letters", "stop_words", "ended_lines", "lines",
    "repeated_line_characters", "top_2_words", "repeated_5_words", "symbols_to_words",
)  # fmt: skip
"""Features that stay with a document: what the report shows."""
_SHOWN: Final = 20_000


def cleaner(settings: Any) -> Callable[[Document], Document]:  # noqa: ANN401 - plain JSON
    """Make the function that cleans a document as `settings` say; for a reading process."""
    chosen = DatasetSettings.model_validate(settings)
    if chosen.languages:
        require_languages()
    return lambda document: cleaned(document, chosen)


def previewer(settings: Any) -> Callable[[Document], Document]:  # noqa: ANN401 - plain JSON
    """Make the function that cleans a document for looking at it: the text before stays with it, refused or not."""
    chosen = DatasetSettings.model_validate(settings)
    return lambda document: _previewed(document, chosen)


def cleaned(document: Document, settings: DatasetSettings) -> Document:
    """The document with the steps applied to its text while it is read."""
    facts = dict(document.metadata)
    return Document(document.id, document.source, document.size, lambda: _clean(document, settings, facts), facts)


def _previewed(document: Document, settings: DatasetSettings) -> Document:
    facts: dict[str, Any] = {**document.metadata, "before": beginning(document.pieces(), _SHOWN)}

    def pieces() -> Iterator[str]:
        try:
            yield from _clean(document, settings, facts)
        except RefusedError as error:
            facts["refused"] = {"reason": error.reason, "detail": error.detail}

    return Document(document.id, document.source, document.size, pieces, facts)


def _clean(document: Document, settings: DatasetSettings, facts: dict[str, Any]) -> Iterator[str]:
    pieces = _prepared(document, settings, facts)
    first = next(pieces, "")
    form, seen = form_of(first, document.source)
    facts.setdefault("form", form)
    facts.update(seen)
    if settings.whitespace == "tidy" and facts["form"] == "prose":
        pieces = tidied(itertools.chain([first], pieces))
        first = next(pieces, "")
    _tell_language(first, settings, facts)
    measure = Measure()
    blank = True
    for piece in itertools.chain([first], pieces):
        if piece:
            measure.add(piece)
            blank = blank and not piece.strip()
            yield piece
    if blank:
        raise RefusedError("empty", "Nothing is left of it after cleaning.")
    _judge(measure, settings, facts)


def _prepared(document: Document, settings: DatasetSettings, facts: dict[str, Any]) -> Iterator[str]:
    pieces = whole_lines(document.pieces())
    if settings.repair:
        pieces = repaired(pieces, facts)
    pieces = normalised(pieces, settings.unicode, facts)
    if settings.boilerplate == "strip":
        pieces = stripped(pieces, facts)
    for name in settings.step:
        pieces = STEPS.get(name)(pieces, facts)
    return pieces


def _tell_language(text: str, settings: DatasetSettings, facts: dict[str, Any]) -> None:
    told = None if facts["form"] in {"code", "table"} else language_of(text)
    if told is None:
        return
    facts["language"], facts["language_probability"] = told
    if settings.languages and told[0] not in settings.languages:
        wanted = ", ".join(settings.languages)
        raise RefusedError("language", f"It is in {told[0]} ({told[1]:.0%} sure); kept are {wanted}.")


def _judge(measure: Measure, settings: DatasetSettings, facts: dict[str, Any]) -> None:
    features = measure.features()
    facts["quality"] = {name: features[name] for name in _KEPT if name in features}
    broken = breaches(features, settings.quality, facts["form"])
    if broken:
        facts["broken_rules"] = broken
        if settings.drop:
            raise RefusedError("quality", f"It breaks rules of {settings.quality}: {'; '.join(broken)}.")
    if settings.near_duplicates != "ignore":
        keys = band_keys(runs_of(measure.numbers()))
        facts[BANDS_KEY] = base64.b64encode(keys.astype("<u8").tobytes()).decode()
