from __future__ import annotations

import pytest

from treadle.data.steps.quality import Measure, breaches, measured

GOOD = (
    "The weaver of the old town sits at her loom and throws the shuttle from hand to hand.\n"
    "She has a treadle below, and with it the warp opens to let the thread go through.\n"
    "Nobody knows that her grandmother built this machine out of oak, iron and patience.\n"
    "When evening comes, one can hear it far down along the river, like a quiet heart.\n"
)


def test_the_features_are_those_of_the_text() -> None:
    found = measured(["one two two...\n\n- three # {\n", "four.\n"])
    assert found["words"] == 8
    assert found["lines"] == 3
    assert found["bullet_lines"] == pytest.approx(1 / 3, abs=1e-4)
    assert found["ellipsis_lines"] == pytest.approx(1 / 3, abs=1e-4)
    assert found["ended_lines"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["symbols_to_words"] == pytest.approx(2 / 8)
    assert found["words_with_letters"] == pytest.approx(5 / 8)
    assert found["braces"] == 1


def test_repetition_is_measured_on_lines_paragraphs_and_runs_of_words() -> None:
    found = measured(["buy now\n" * 10])
    assert found["repeated_lines"] == pytest.approx(0.9)
    assert found["repeated_line_characters"] == pytest.approx(0.9)
    assert found["top_2_words"] == pytest.approx(1)
    assert found["repeated_5_words"] == pytest.approx(0.9)
    fresh = measured([GOOD])
    assert fresh["repeated_5_words"] == fresh["repeated_lines"] == fresh["top_4_words"] == 0
    assert measured(["one paragraph here\n\none paragraph here\n\nother"])["repeated_paragraphs"] == pytest.approx(
        1 / 3, abs=1e-4
    )


def test_a_repeated_run_covers_the_words_that_stood_before() -> None:
    text = "a b c d e f x y z u v w a b c d e f"
    assert measured([text])["repeated_5_words"] == pytest.approx(6 / 18, abs=1e-4)


def test_an_empty_text_has_no_words_and_no_other_features() -> None:
    assert measured([]) == {"words": 0}
    assert Measure().numbers().size == 0


@pytest.mark.parametrize("preset", ["permissive", "gopher", "c4", "fineweb"])
def test_good_prose_passes_every_preset_and_spam_none(preset: str) -> None:
    assert breaches(measured([GOOD]), preset, "prose") == []
    assert breaches(measured(["buy now {\n" * 60]), preset, "prose") != []


def test_a_breach_tells_value_and_limit() -> None:
    assert breaches(measured(["a few words"]), "gopher", "prose")[0] == "words 3 < 50"


def test_rules_about_lines_of_prose_do_not_judge_verse() -> None:
    verse = measured(["short lines\nof a poem\n" * 40])
    assert any("line" in one for one in breaches(verse, "fineweb", "prose"))
    assert not any("line" in one for one in breaches(verse, "fineweb", "verse"))


def test_beyond_some_megabytes_nothing_more_is_measured() -> None:
    measure = Measure()
    for number in range(8):
        measure.add(f"{number} " + "word " * 200_000)
    assert 4 << 20 <= measure.size < 6 << 20
