"""Templates: a text with gaps, the questions that fill them, and settings that suit it."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import Field, ValidationError, model_validator

from treadle.base.errors import DataError, NotFoundError, UsageError
from treadle.base.names import did_you_mean
from treadle.config.spec import Spec
from treadle.prompts.record import Purpose

if TYPE_CHECKING:
    from collections.abc import Mapping

_GAP = re.compile(r"\{([a-z_]+)\}")
_LONGEST_ANSWER = 500


class Question(Spec):
    """One gap of a template."""

    name: str
    ask: str
    default: str
    choices: tuple[str, ...] = ()
    """Suggestions; another answer is allowed."""


class Template(Spec):
    """A kind of scene, ready to be filled in."""

    description: str
    purpose: Purpose
    text: str
    questions: tuple[Question, ...] = Field(min_length=1)
    negative: str | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    tags: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _gaps_are_asked_for(self) -> Template:
        gaps, asked = set(_GAP.findall(self.text)), {question.name for question in self.questions}
        if gaps != asked:
            raise ValueError(f"gaps and questions differ: {', '.join(sorted(gaps ^ asked))}")
        return self

    def answers(self, given: Mapping[str, str]) -> dict[str, str]:
        """One answer to each question: what was given, else its default. Raises `UsageError`."""
        asked = [question.name for question in self.questions]
        for name, answer in given.items():
            if name not in asked:
                raise UsageError(f"The template has no question `{name}`.{did_you_mean(name, asked)} {_listed(asked)}")
            if len(answer) > _LONGEST_ANSWER:
                raise UsageError(f"The answer to `{name}` has {len(answer):,} characters; at most {_LONGEST_ANSWER}.")
        return {question.name: _tidy(given.get(question.name, "")) or question.default for question in self.questions}

    def render(self, answers: Mapping[str, str]) -> str:
        """The text with its gaps filled; a sentence that begins with an answer begins with a capital."""
        text = _GAP.sub(lambda match: answers[match[1]], self.text)
        return re.sub(r"(^|[.!?] )([a-z])", lambda match: match[1] + match[2].upper(), text)


def template_names() -> list[str]:
    """Names of the templates, in the order of the alphabet."""
    folder = files("treadle.prompts") / "templates"
    return sorted(item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml"))


def get_template(name: str) -> Template:
    """The template called `name`; raises `NotFoundError`."""
    names = template_names()
    if name not in names:
        raise NotFoundError(f"No template `{name}`.{did_you_mean(name, names)} {_listed(names)}")
    text = (files("treadle.prompts") / "templates" / f"{name}.yaml").read_text(encoding="utf-8")
    try:
        return Template(**yaml.safe_load(text))
    except ValidationError as error:
        raise DataError(f"The template {name} is damaged: {error.errors()[0]['msg']}.") from error


def _tidy(answer: str) -> str:
    """An answer as it fits into a sentence: on one line, without a full stop at its end."""
    return " ".join(answer.split()).rstrip(".")


def _listed(names: list[str]) -> str:
    return f"There are: {', '.join(names)}."
