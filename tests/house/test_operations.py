"""Every operation is reachable through every door, and says what it does."""

import dataclasses
import subprocess
import sys
import typing

import click
import pytest

from treadle.cli.main import application
from treadle.cli.parameters import operation_parameters
from treadle.cli.reports import _VIEWS
from treadle.operations.api import Workspace
from treadle.operations.operation import operations

ENTRIES = list(operations().values())
VERBS_OF_THE_HOUSE = {
    None: "init demo new list show set rename copy delete feed flush train sample chat predict evaluate compare inspect"
    " experiment serve ui mcp export import doctor",
    "config": "show check",
    "experiment": "run list show delete",
    "tokenizer": "train inspect compare",
    "crawl": "start status pages pause resume rules export",
    "data": "list show new add versions diff report preview refused tag export gc",
    "flow": "init add edit prioritise reopen remove review-ready start done block pause list show next focus log note"
    " read decide move archive check review board stats import",
    "flow.guard": "init list run check test-first",
    "flow.ci": "list show run log",
    "jobs": "list show follow log stop discard retry pause resume move hold release prioritise edit prune import-queue",
    "worker": "run start status drain stop install",
    "schedule": "add list remove",
    "runs": "list show samples compare metrics lineage",
    "system": "status history disk clean",
    "plugins": "list",
    "user": "add list remove password level",
    "key": "add list remove",
    "prompt": "new list show edit search delete template wizard enhance",
    "gallery": "list show rate tag recall compare remove",
    "host": "add list doctor remove",
    "host.image": "build pull pin",
    "host.checkpoints": "download verify manifest",
    "host.runs": "list stop remove",
    "transfer": "run explain upscale adjust",
    "video": "probe controls interpolate smooth deflicker chunk stitch coherence compare from-images",
}
each = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)


@each
def test_the_verb_stands_in_the_houses_table(entry):
    assert entry.verb in VERBS_OF_THE_HOUSE[entry.noun].split()


@each
def test_the_command_line_has_the_verb_with_all_parameters(entry):
    group = application
    for noun in (entry.noun or "").split("."):
        group = group.get_command(click.Context(group), noun) if noun else group
    command = group.get_command(click.Context(group), entry.verb)
    names = {parameter.name for parameter in command.params}
    for parameter in entry.parameters():
        assert parameter.name in names or any(name.startswith(f"{parameter.name}__") for name in names)
    assert "as_json" in names


@each
def test_every_parameter_has_a_help_text(entry):
    for parameter in operation_parameters(entry):
        assert isinstance(parameter, click.Argument) or parameter.help
    assert all(parameter.help or parameter.settings for parameter in entry.parameters())


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return Workspace.create(tmp_path_factory.mktemp("w") / "w")


@each
def test_python_has_the_method(entry, workspace):
    assert entry.method in dir(workspace)
    assert getattr(workspace, entry.method).__doc__ == entry.description


@each
def test_the_request_has_a_schema(entry):
    schema = entry.request_schema()
    assert set(schema.get("properties", {})) == {parameter.name for parameter in entry.parameters()}


@each
def test_the_help_shows_examples_that_name_the_verb(entry):
    assert entry.examples
    assert all(example.startswith(f"treadle {entry.name.replace('.', ' ')}") for example in entry.examples)


@each
def test_a_light_operation_answers_with_a_report_that_the_terminal_can_show(entry):
    if entry.kind == "light":
        returned = typing.get_type_hints(entry.function)["return"]
        assert all(map(dataclasses.is_dataclass, typing.get_args(returned) or (returned,)))
    if entry.kind in {"light", "heavy"}:
        assert entry.name in _VIEWS


def test_operations_do_not_import_the_command_line():
    script = (
        "import sys; from treadle.operations.operation import operations; operations(); exit('click' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
