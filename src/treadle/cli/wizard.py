"""Questions asked one by one on a terminal: those of a template, and whether a key is the right one."""

from __future__ import annotations

from typing import Any

import click

from treadle.registry.catalogue import load


def ask_template(arguments: dict[str, Any]) -> None:
    """Ask the questions of the template that are not answered yet. Enter takes the default."""
    source: Any = load("treadle.prompts.templates:get_template")(arguments["template"])
    answers = list(arguments["answer"])
    known = {pair.partition("=")[0] for pair in answers}
    open_questions = [question for question in source.questions if question.name not in known]
    for number, question in enumerate(open_questions, 1):
        click.echo(f"{number}/{len(open_questions)}  {question.ask}", err=True)
        if question.choices:
            click.echo(f"     for example: {', '.join(question.choices)}", err=True)
        said = click.prompt("    ", default=question.default, err=True, prompt_suffix=" ")
        answers.append(f"{question.name}={said}")
    arguments["answer"] = answers


def ask_key(arguments: dict[str, Any]) -> None:
    """Show the key of a host that has one and ask whether it is the right one."""
    place = arguments["place"]
    if arguments["accept"] is not None or not (shown := load("treadle.recipes.hosts:shown_fingerprint")(place)):
        return
    click.echo(f"The machine at {place} shows the key\n  {shown}", err=True)
    click.echo("There, `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` must print the same.", err=True)
    click.confirm("Is it the same?", abort=True, err=True)
    arguments["accept"] = shown
