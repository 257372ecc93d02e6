"""The questions of a template, asked one by one on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from treadle.registry.catalogue import load

if TYPE_CHECKING:
    from collections.abc import Sequence


def ask(template: str, answered: Sequence[str]) -> list[str]:
    """Ask what is not answered yet; returns all answers as `QUESTION=ANSWER`. Enter takes the default."""
    source: Any = load("treadle.prompts.templates:get_template")(template)
    known = {pair.partition("=")[0] for pair in answered}
    answers = list(answered)
    open_questions = [question for question in source.questions if question.name not in known]
    for number, question in enumerate(open_questions, 1):
        click.echo(f"{number}/{len(open_questions)}  {question.ask}", err=True)
        if question.choices:
            click.echo(f"     for example: {', '.join(question.choices)}", err=True)
        said = click.prompt("    ", default=question.default, err=True, prompt_suffix=" ")
        answers.append(f"{question.name}={said}")
    return answers
