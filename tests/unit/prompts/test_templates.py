"""Templates: each can be filled, and what it makes can be sent."""

import pytest
from pydantic import ValidationError

from treadle.base.errors import NotFoundError, UsageError
from treadle.prompts.checks import estimated_tokens, remarks
from treadle.prompts.config import VideoSettings
from treadle.prompts.record import Prompt, PromptInput
from treadle.prompts.settings import checked
from treadle.prompts.templates import Template, get_template, template_names

NAMES = template_names()


def test_there_are_at_least_six_templates():
    assert len(NAMES) >= 6


@pytest.mark.parametrize("name", NAMES)
def test_a_template_makes_a_prompt_without_remarks(name, tmp_path):
    template = get_template(name)
    assert template.description.endswith(".")
    text = template.render(template.answers({}))
    assert "{" not in text
    assert "  " not in text
    assert ".." not in text
    assert 40 <= len(text.split()) <= 130
    assert estimated_tokens(text) < 300
    video = tmp_path / "a.mp4"
    video.write_bytes(b"video")
    source = PromptInput("video", str(video), "fb2b2a5e6e1f35d1a4a5d4d1", 5)
    settings = checked(VideoSettings, template.settings)
    assert settings == template.settings, "a template that sets what is usual anyway"
    made = Prompt("x", 1, None, template.purpose, text, None, (source,), settings, ())
    assert [remark.text for remark in remarks(made)] == [
        f"The video {video} has changed since this version was stored."
    ]


@pytest.mark.parametrize("name", NAMES)
def test_each_answer_stands_in_the_text(name):
    template = get_template(name)
    for question in template.questions:
        answers = template.answers({question.name: "Zanzibar ~ 7."})
        assert "anzibar ~ 7" in template.render(answers)
        assert question.ask.endswith("?")
        assert not question.default.endswith(".")


def test_an_empty_answer_takes_the_default_and_lines_become_one():
    template = get_template("night-drive")
    assert template.answers({"road": "  "})["road"] == template.answers({})["road"]
    assert template.answers({"road": "a\n b."})["road"] == "a b"


def test_a_sentence_begins_with_a_capital():
    template = get_template("season-change")
    assert template.render(template.answers({"place": "a small lake"})).startswith("A small lake in")


def test_an_unknown_question_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match="Did you mean `road`"):
        get_template("night-drive").answers({"roat": "x"})
    with pytest.raises(UsageError, match="at most 500"):
        get_template("night-drive").answers({"road": "x" * 501})
    with pytest.raises(NotFoundError, match="Did you mean `night-drive`"):
        get_template("nightdrive")


def test_a_template_whose_gaps_nobody_asks_for_is_refused():
    question = {"name": "a", "ask": "A?", "default": "b"}
    with pytest.raises(ValidationError, match="gaps and questions differ: b"):
        Template(description="x", purpose="video", text="{a} {b}", questions=[question])
