from __future__ import annotations

from typing import Any

import pytest

from treadle.data.document import Document, RefusedError
from treadle.data.steps.cleaning import BANDS_KEY, cleaned, cleaner, previewer
from treadle.data.steps.config import DatasetSettings

PROSE = "The weaver sits at her loom.  \n\n\n\nShe has a treadle, and with it the warp opens to let the thread go.\n"


def clean(text: str, **settings: Any) -> tuple[str, dict[str, Any]]:
    draft = cleaned(Document.from_text(text, "a.txt", {"encoding": "utf-8"}), DatasetSettings(**settings))
    return "".join(draft.pieces()), dict(draft.metadata)


def test_prose_is_tidied_and_measured_and_given_its_keys() -> None:
    text, facts = clean(PROSE)
    assert (
        text == "The weaver sits at her loom.\n\nShe has a treadle, and with it the warp opens to let the thread go.\n"
    )
    assert (facts["form"], facts["encoding"], facts["quality"]["words"]) == ("prose", "utf-8", 21)
    assert BANDS_KEY in facts
    assert BANDS_KEY not in clean(PROSE, near_duplicates="ignore")[1]


def test_the_form_of_code_and_verse_is_kept() -> None:
    code = "def f():   \n\n\n\n    return 1\n"
    draft = cleaned(Document.from_text(code, "f.py"), DatasetSettings())
    assert "".join(draft.pieces()) == code
    assert clean(PROSE, whitespace="keep")[0] == PROSE


def test_quality_is_reported_first_and_drops_only_when_told() -> None:
    text, facts = clean("buy now\n" * 40)
    assert text
    assert any("repeated line characters" in rule for rule in facts["broken_rules"])
    with pytest.raises(RefusedError, match="breaks rules of permissive") as refused:
        clean("buy now\n" * 40, drop=True)
    assert refused.value.reason == "quality"


def test_other_languages_are_refused_only_when_languages_are_named() -> None:
    pytest.importorskip("py3langid")
    german = "Der Bär aß süße Äpfel, während es regnete und die Vögel in den Bäumen sangen.\n" * 20
    assert clean(german)[1]["language"] == "de"
    with pytest.raises(RefusedError, match="It is in de"):
        clean(german, languages=("en",))


def test_what_is_nothing_after_cleaning_is_refused() -> None:
    with pytest.raises(RefusedError, match="Nothing is left"):
        clean("Project Gutenberg\n*** START OF THIS PROJECT GUTENBERG EBOOK X ***\n\n")


def test_a_preview_keeps_the_text_before_and_the_reason_of_a_refusal() -> None:
    settings = DatasetSettings(quality="gopher", drop=True).model_dump(mode="json")
    shown = previewer(settings)(Document.from_text(PROSE, "a.txt"))
    assert "".join(shown.pieces())
    assert shown.metadata["before"] == PROSE
    assert shown.metadata["refused"]["reason"] == "quality"


def test_settings_that_clean_alike_give_equal_preparations() -> None:
    assert DatasetSettings().preparation() == DatasetSettings(check=("size:1",), repair=True).preparation()
    assert DatasetSettings(unicode="NFKC").preparation() != DatasetSettings().preparation()
    assert callable(cleaner(DatasetSettings().model_dump(mode="json")))
