"""Questions asked one by one on a terminal: those of a template, and whether a key is the right one."""

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


def accepted(place: str) -> str | None:
    """Show the key of a host and ask whether it is the right one; returns its fingerprint, or None for this machine."""
    shown: str = load("treadle.recipes.hosts:shown_fingerprint")(place)
    if not shown:
        return None
    click.echo(f"The machine at {place} shows the key\n  {shown}", err=True)
    click.echo("There, `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` must print the same.", err=True)
    click.confirm("Is it the same?", abort=True, err=True)
    return shown
