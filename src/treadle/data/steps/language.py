"""Which language a text is in, told from a sample of it."""

from __future__ import annotations

from functools import cache
from typing import Any

from treadle.base.errors import MissingExtraError

SAMPLE = 400
_FEWEST = 20
"""Characters below which nothing is told."""


def language_of(text: str) -> tuple[str, float] | None:
    """ISO code and probability; None where the text is too short, or what tells languages is not installed."""
    identifier = _identifier()
    sample = sample_of(text)
    if identifier is None or len(sample) < _FEWEST:
        return None
    code, probability = identifier.classify(sample)
    return str(code), round(float(probability), 3)


def require_languages() -> None:
    """Raise `MissingExtraError` if languages cannot be told here."""
    if _identifier() is None:
        raise MissingExtraError("Telling languages needs an extra: pip install 'treadle[documents]'.")


def sample_of(text: str) -> str:
    """Some lines from the beginning, the middle and the end of what is given."""
    if len(text) <= SAMPLE:
        return " ".join(text.split())
    part = SAMPLE // 4
    places = (len(text) // 10, len(text) // 3, len(text) // 2, 4 * len(text) // 5)
    return " ".join(" ".join(text[place : place + part].split()) for place in places)


@cache
def _identifier() -> Any:  # noqa: ANN401 - a library without types
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError:
        return None
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
