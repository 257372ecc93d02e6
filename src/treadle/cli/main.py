"""The command `treadle`: finds the verb, runs its operation, shows what came of it."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

import treadle
from treadle.base.errors import TreadleError
from treadle.base.names import did_you_mean
from treadle.cli.parameters import operation_parameters
from treadle.operations.operation import find_operation, operations

if TYPE_CHECKING:
    from collections.abc import Iterable

    from treadle.operations.operation import Operation

_ORDER = ("init", "new", "feed", "train", "sample", "chat", "evaluate", "show", "list", "doctor")
"""The verbs as a first hour meets them; others follow by name."""
_NOUNS = {
    "config": "Show and check settings.",
    "crawl": "Feed web sites: politely, each page once, later only what is new.",
    "data": "Make named datasets of files: clean, versioned, with a report of their quality.",
    "flow": "Keep notes, tasks and logs in plain Markdown.",
    "flow.ci": "See and start the runs of GitHub Actions.",
    "flow.guard": "Hold an assistant to the paths, commands and gates of its role.",
    "experiment": "Compare settings: train a grid with equal budgets and several seeds, and report.",
    "gallery": "Look at what runs have made: rate, tag, find, compare, recall.",
    "host": "Add machines with GPUs, look at them, get their image and checkpoints.",
    "host.checkpoints": "Download, verify and list what a host's models are.",
    "host.runs": "See, end and remove what runs have left on a host.",
    "host.image": "Build, pull and pin what a host's runs are carried out in.",
    "jobs": "See and change what is queued, runs, and has ended.",
    "prompt": "Keep requests for generation: texts, inputs, settings, with versions and templates.",
    "key": "Open the API of `treadle ui` to programs.",
    "tokenizer": "Learn vocabularies, look into them, compare them.",
    "plugins": "See what is plugged in, and what can be.",
    "runs": "See what was run, compare it, draw its curves.",
    "schedule": "Queue a job again and again.",
    "system": "See the machine and the disk, and clean up.",
    "transfer": "Have videos made that follow control maps, by Cosmos-Transfer or a small model here.",
    "user": "Say who may log in to `treadle ui`, and what they may do there.",
    "video": "Probe, change, cut, join and measure videos.",
    "worker": "See and control the process that carries out jobs.",
}
"""One phrase for each noun that groups verbs; one with a dot stands inside the other."""
_USUAL = {"crawl": "start", "experiment": "run"}
"""The verb of a noun that may be left out: `treadle experiment NAME` is `treadle experiment run NAME`."""
_OTHER_WORDS = {
    "rm": "delete",
    "remove": "delete",
    "run": "sample",
    "generate": "sample",
    "ls": "list",
    "eval": "evaluate",
    "help": "--help",
}
"""What other programs call the same."""
OUTPUT_FAILED = 74
"""Exit code when the answer could not be written; EX_IOERR of sysexits.h."""
_DEFECT = 70
"""Exit code of what should not have happened; EX_SOFTWARE there."""


class VerbGroup(click.Group):
    """A group of verbs whose flags are worked out only for the verb that is called."""

    def __init__(self, noun: str | None = None, **settings: Any) -> None:  # noqa: ANN401 - click's own
        """Hold the verbs of `noun`, or the top-level ones and the nouns."""
        super().__init__(**settings)
        self.noun = noun

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Names in the order of the table, nouns last."""
        verbs = [entry.verb for entry in _entries(self.noun)]
        return verbs + sorted(_nouns(self.noun))

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Build one command."""
        whole = name if self.noun is None else f"{self.noun}.{name}"
        if whole in _NOUNS:
            return VerbGroup(noun=whole, name=name, help=_NOUNS[whole])
        entry = find_operation(whole)
        return None if entry is None else _command(entry)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the noun's usual verb before words that name none."""
        if self.noun in _USUAL and args and args[0] not in {*self.list_commands(ctx), *ctx.help_option_names}:
            args = [_USUAL[self.noun], *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say what was probably meant."""
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            names = self.list_commands(ctx)
            prefix = "treadle" if self.noun is None else f"treadle {self.noun.replace('.', ' ')}"
            meant = _OTHER_WORDS.get(args[0])
            near = did_you_mean(args[0], names) if meant is None else f" Did you mean `{meant}`?"
            message = f"Unknown command `{args[0]}`.{near} See `{prefix} --help`."
            raise click.UsageError(message)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """List the verbs with their first sentences, without building any of them."""
        rows = [(entry.verb, _first_phrase(entry)) for entry in _entries(self.noun)]
        early = [row for row in rows if self.noun is not None or row[0] in _ORDER]
        more = [row for row in rows if row not in early]
        groups = sorted(_nouns(self.noun).items())
        for heading, section in (("Commands", early), ("More commands", more), ("Groups of commands", groups)):
            if section:
                with formatter.section(heading):
                    formatter.write_dl(section)


def _nouns(noun: str | None) -> dict[str, str]:
    """The nouns that stand directly inside `noun`, by their last word."""
    inside = {name.rpartition(".")[2]: name for name in _NOUNS if name.rpartition(".")[0] == (noun or "")}
    return {word: _NOUNS[name] for word, name in inside.items()}


def _entries(noun: str | None) -> list[Operation]:
    found = [entry for entry in operations().values() if entry.noun == noun]
    if noun is not None:
        return found
    order = {verb: place for place, verb in enumerate(_ORDER)}
    return sorted(found, key=lambda entry: (order.get(entry.verb, len(order)), entry.verb))


def _first_phrase(entry: Operation) -> str:
    return entry.summary.split(". ")[0].rstrip(".") + "."


def _command(entry: Operation) -> click.Command:
    examples = "\n".join(f"  {example}" for example in entry.examples)
    return click.Command(
        entry.verb,
        params=operation_parameters(entry),
        callback=lambda **values: _run(entry, values),
        help=f"{entry.description}\n\n\b\nExamples:\n{examples}",
        short_help=_first_phrase(entry),
    )


def _run(entry: Operation, values: dict[str, Any]) -> None:
    from treadle.cli.invoke import invoke

    sys.exit(invoke(entry, values))


@click.group(cls=VerbGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(treadle.__version__, prog_name="treadle")
def application() -> None:
    """Feed it, and named models learn from what they are fed.

    \b
    A first hour:
      treadle init workshop && cd workshop
      treadle new bard
      treadle feed bard my-texts/
      treadle train bard
      treadle sample bard --prompt "Once"
    """  # noqa: D301 - click's mark for text that keeps its lines


def main(arguments: Iterable[str] | None = None) -> None:
    """Run the command line; errors of ours print one message and no traceback."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    as_json = "--json" in given
    try:
        # Not `application.main`, which ends with exit code 1 when a reader such as `head` goes away.
        with application.make_context("treadle", given) as context:
            application.invoke(context)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        _fail(error.format_message(), "Usage", 2, as_json=as_json)
    except click.ClickException as error:
        _fail(_misused(error), "Usage", error.exit_code, as_json=as_json)
    except TreadleError as error:
        _fail(_explained(error), kind_of(error), error.exit_code, as_json=as_json)
    except (KeyboardInterrupt, click.exceptions.Abort):
        _fail("Interrupted.", "Interrupted", 130, as_json=as_json)
    except BrokenPipeError:
        _forget_output()
        sys.exit(0)
    except OSError as error:
        reason = error.strerror or str(error)
        if error.filename is not None:
            _fail(f"{os.fsdecode(error.filename)}: {reason}.", "Output", OUTPUT_FAILED, as_json=as_json)
        _forget_output()
        _fail(f"The output cannot be written: {reason}.", "Output", OUTPUT_FAILED, as_json=False)
    except Exception as error:
        from treadle.cli.failures import defect

        _fail(defect(error), "Defect", _DEFECT, as_json=as_json)


def _explained(error: TreadleError) -> str:
    if kind_of(error) != "MissingExtra":
        return str(error)
    from treadle.cli.failures import with_own_pip

    return with_own_pip(str(error))


def _misused(error: click.ClickException) -> str:
    """What was wrong with the words of a command, and where all that it takes is listed."""
    message = " ".join(error.format_message().split())
    listed = isinstance(error, click.BadParameter) and not isinstance(error, click.MissingParameter)
    if listed or not isinstance(error, click.UsageError) or error.ctx is None or " See `" in message:
        return message
    return f"{message}{'' if message.endswith(('.', '?')) else '.'} See `{error.ctx.command_path} --help`."


def kind_of(error: TreadleError) -> str:
    """The name of an error's class without `Error`; a failed run tells the kind of error inside it."""
    return str(getattr(error, "kind", type(error).__name__.removesuffix("Error")))


def _fail(message: str, kind: str, exit_code: int, *, as_json: bool) -> NoReturn:
    """Say what is wrong on standard error, with `--json` as JSON on standard output too, and end."""
    try:
        if kind == "Interrupted" and sys.stderr.isatty():
            click.echo(err=True)  # ends the line on which the terminal shows ^C
        click.echo(message, err=True)
        if as_json:
            answer = {"ok": False, "error": message, "kind": kind, "exit_code": exit_code}
            click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    except OSError:
        _forget_output()
    sys.exit(exit_code)


def _forget_output() -> None:
    """Send what is still buffered nowhere, so that the interpreter does not complain about it at exit."""
    sink = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        try:
            (sys.stdout, sys.stderr)[stream - 1].flush()
        except OSError:
            os.dup2(sink, stream)


if __name__ == "__main__":
    main()
