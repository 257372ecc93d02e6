"""Operations on prompts: prompt new, list, show, edit, search, delete, template, wizard, enhance."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from treadle.base.errors import UsageError
from treadle.jobs.request import JobRequest
from treadle.operations.operation import NamesFile, operation
from treadle.registry.catalogue import load
from treadle.store.workspace import WorkspaceFolder

_TEXT = "the text; - = standard input (command line)"
_NEGATIVE = "what must not be seen; `default` = the default one, empty = none"
_INPUT = "KIND=PATH: a file that goes with it, such as video=street.mp4 or edge=edges.mp4; may be repeated"
_NAMES = NamesFile(behind="=", kept=True)
_SET = "NAME=VALUE: a setting, such as seed=7 or edge=0.6; may be repeated"
_TAG = "a word to find it by; may be repeated"
_ANSWER = "QUESTION=ANSWER: an answer to a question of the template; may be repeated"


@dataclass(frozen=True, slots=True)
class PromptText:
    """What was given of a prompt; None and empty leave things as they are."""

    text: str | None = None
    negative: str | None = None
    inputs: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    untag: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PromptReport:
    """One version of a prompt."""

    name: str
    version: int
    """0 = not stored."""
    parent: int | None
    id: str
    """Hash of what decides the result."""
    purpose: str
    text: str
    negative: str
    """The one that counts."""
    negative_from: str
    """`default` or `prompt`."""
    inputs: list[dict[str, Any]]
    """`kind`, `path`, `sha256`, `bytes`."""
    settings: dict[str, Any]
    """Those that differ from the defaults."""
    complete_settings: dict[str, Any]
    tags: list[str]
    made_by: dict[str, Any]
    """`template` and `answers`, or `enhanced_by`, of a host with `host`, `run`, `answer_sha256`, `guardrail`, `image`;
    empty = a person."""
    created: float
    """Seconds since 1970."""
    tokens: int
    """Of the text, as estimated."""
    most_tokens: int | None
    """What the encoder reads."""
    remarks: list[dict[str, str]]
    """`level` (error, warning), `text`, `fix` (on the command line), and `about` with `kind` for other doors."""
    changed: bool = True
    """Whether a version was stored."""
    versions: list[int] | None = None
    differences: list[str] | None = None
    """Lines of a unified difference, where one was asked for."""
    preview: dict[str, Any] | None = None
    """Of a wizard's prompt for a video: `sent`, the documents that Cosmos-Transfer would read, `clips`, `waste`,
    `unsaid` and `remarks`; or `cannot`, why nothing could be sent."""
    queued: int | None = None
    """The job by which a host writes a text; the new version comes with its end."""


@dataclass(frozen=True, slots=True)
class PromptEnhancePayload:
    """Which version of which prompt a host shall write more of."""

    name: str
    version: int
    host: str
    seconds: float
    preview: bool = False


@dataclass(frozen=True, slots=True)
class PromptList:
    """Newest versions of prompts."""

    prompts: list[dict[str, Any]]
    """`name`, `version`, `purpose`, `text`, `tags`, `created`."""
    damaged: list[str]


@dataclass(frozen=True, slots=True)
class DeletedPrompt:
    """A prompt that lies in the trash."""

    name: str
    trash: str


@dataclass(frozen=True, slots=True)
class TemplateList:
    """Templates of prompts."""

    templates: list[dict[str, Any]]
    """`name`, `description`, `purpose`, `text`, `questions`, `settings`, `tags`, `negative`."""
    chosen: str | None
    """The one that was asked for."""


@operation(
    "light",
    noun="prompt",
    examples=(
        'treadle prompt new dusk "A wet street at dusk, warm lamps" --input video=street.mp4 --set edge=0.6',
        "treadle prompt new evening --template city-street --answer time=night",
        'treadle prompt new opening "ROMEO:" --purpose text --set temperature=0.7',
    ),
)
def new(
    workspace: WorkspaceFolder,
    name: Annotated[str, "name of the prompt"],
    prompt: Annotated[str | None, _TEXT] = None,
    *,
    purpose: Annotated[Literal["video", "text"], "what is generated from it"] = "video",
    template: Annotated[str | None, "fill this template instead (`treadle prompt template`)"] = None,
    answer: Annotated[list[str], _ANSWER] = [],  # noqa: B006 - never changed
    negative: Annotated[str | None, _NEGATIVE] = None,
    input: Annotated[list[str], _INPUT, _NAMES] = [],  # noqa: A002, B006 - the flag's name; never changed
    set: Annotated[list[str], _SET] = [],  # noqa: A002, B006 - the flag's name; never changed
    tag: Annotated[list[str], _TAG] = [],  # noqa: B006 - never changed
) -> PromptReport:
    """Store a request for generation: text, negative text, input files and settings, as version 1."""
    text = PromptText(prompt, negative, tuple(input), (), tuple(set), tuple(tag), (), tuple(answer))
    return _report(load("treadle.recipes.prompts:new")(workspace, name, purpose, text, template))


@operation(
    "light",
    noun="prompt",
    examples=(
        'treadle prompt edit dusk --text "A dry street at dawn, soft light, slow camera"',
        "treadle prompt edit dusk --set edge=0.8 --set seed=7 --tag favourite",
        "treadle prompt edit dusk --version 2 --negative default",
    ),
)
def edit(
    workspace: WorkspaceFolder,
    name: Annotated[str, "name of the prompt"],
    *,
    text: Annotated[str | None, "another text"] = None,
    version: Annotated[int | None, "version to start from; none = the newest"] = None,
    negative: Annotated[str | None, _NEGATIVE] = None,
    input: Annotated[list[str], _INPUT, _NAMES] = [],  # noqa: A002, B006 - the flag's name; never changed
    without: Annotated[list[str], "kind of an input to leave out; may be repeated"] = [],  # noqa: B006
    set: Annotated[list[str], _SET] = [],  # noqa: A002, B006 - the flag's name; never changed
    tag: Annotated[list[str], _TAG] = [],  # noqa: B006 - never changed
    untag: Annotated[list[str], "a tag to take off; may be repeated"] = [],  # noqa: B006
) -> PromptReport:
    """Make a changed version of a prompt; the older ones stay. Versions that say the same are stored once."""
    given = PromptText(text, negative, tuple(input), tuple(without), tuple(set), tuple(tag), tuple(untag))
    if given == PromptText():
        raise UsageError("Say what to change, for example --text TEXT, --set seed=7 or --tag WORD.")
    made, changed = load("treadle.recipes.prompts:edit")(workspace, name, given, version)
    return _report(made, changed=changed)


@operation(
    "light",
    effect="reads",
    noun="prompt",
    examples=("treadle prompt show dusk", "treadle prompt show dusk --version 1", "treadle prompt show dusk --diff 1"),
)
def show(
    workspace: WorkspaceFolder,
    name: Annotated[str, "name of the prompt"],
    *,
    version: Annotated[int | None, "version; none = the newest"] = None,
    diff: Annotated[int | None, "show what changed since this version"] = None,
) -> PromptReport:
    """Show a prompt: its text, the negative text that counts, inputs, settings, and what may go wrong with it."""
    shelf = load("treadle.recipes.prompts:library")(workspace)
    made = shelf.get(name, version)
    lines = None
    if diff is not None:
        lines = load("treadle.recipes.prompts:differences")(workspace, name, diff, made.version)
    return _report(made, versions=shelf.versions(name), differences=lines)


@operation(
    "light",
    effect="reads",
    noun="prompt",
    verb="list",
    examples=("treadle prompt list", "treadle prompt list --tag street"),
)
def list_(
    workspace: WorkspaceFolder,
    *,
    tag: Annotated[str | None, "only those with this tag"] = None,
) -> PromptList:
    """List the prompts, each with its newest version."""
    return _rows(workspace, [], tag)


@operation(
    "light",
    effect="reads",
    noun="prompt",
    examples=("treadle prompt search street night", "treadle prompt search rain --tag driving"),
)
def search(
    workspace: WorkspaceFolder,
    words: Annotated[list[str], "words that all stand in the name, the texts or the tags"],
    *,
    tag: Annotated[str | None, "only those with this tag"] = None,
) -> PromptList:
    """Find prompts by words of their names, texts and tags."""
    return _rows(workspace, words, tag)


@operation("light", effect="removes", noun="prompt", examples=("treadle prompt delete dusk",))
def delete(workspace: WorkspaceFolder, name: Annotated[str, "name of the prompt"]) -> DeletedPrompt:
    """Move a prompt with all its versions to the trash; nothing is erased."""
    return DeletedPrompt(name, str(load("treadle.recipes.prompts:library")(workspace).delete(name)))


@operation(
    "light",
    effect="reads",
    needs_workspace=False,
    noun="prompt",
    examples=("treadle prompt template", "treadle prompt template city-street"),
)
def template(
    workspace: WorkspaceFolder | None,
    name: Annotated[str | None, "name of a template, to see its text and questions"] = None,
) -> TemplateList:
    """List the templates of prompts, or show one with its questions."""
    del workspace
    if name is not None:
        load("treadle.prompts.templates:get_template")(name)
    return TemplateList(load("treadle.recipes.prompts:templates")(), name)


@operation(
    "light",
    noun="prompt",
    reads_unless=("save",),
    examples=(
        "treadle prompt wizard city-street",
        'treadle prompt wizard city-street --answer "place=a harbour town" --save harbour',
        "treadle prompt wizard night-drive --answer time=dusk --input video=drive.mp4 --save drive --json",
    ),
)
def wizard(
    workspace: WorkspaceFolder,
    template: Annotated[str, "name of the template (`treadle prompt template` lists them)"],
    *,
    answer: Annotated[list[str], _ANSWER] = [],  # noqa: B006 - never changed
    save: Annotated[str | None, "store it under this name; none = only show it"] = None,
    negative: Annotated[str | None, _NEGATIVE] = None,
    input: Annotated[list[str], _INPUT, _NAMES] = [],  # noqa: A002, B006 - the flag's name; never changed
    set: Annotated[list[str], _SET] = [],  # noqa: A002, B006 - the flag's name; never changed
    tag: Annotated[list[str], _TAG] = [],  # noqa: B006 - never changed
) -> PromptReport:
    """Make a prompt by answering a template's questions, with a preview of the text and of all that goes with it.

    On a terminal the questions are asked one by one; Enter takes the default. Questions that `--answer` answers are
    not asked; without a terminal, the others take their defaults.
    """
    text = PromptText(None, negative, tuple(input), (), tuple(set), tuple(tag), (), tuple(answer))
    made = load("treadle.recipes.prompts:wizard")(workspace, template, text, save)
    preview = load("treadle.recipes.prompts:preview")(made)
    return _report(made, changed=save is not None, preview=preview)


@operation(
    "light",
    noun="prompt",
    examples=(
        "treadle prompt enhance dusk --using http://127.0.0.1:8000/v1",
        "treadle prompt enhance dusk --using http://127.0.0.1:8000/v1 --model writer --preview",
        "treadle prompt enhance dusk --using bard",
        "treadle prompt enhance dusk --host lambda",
    ),
)
def enhance(
    workspace: WorkspaceFolder,
    name: Annotated[str, "name of the prompt"],
    *,
    using: Annotated[str | None, "address of an OpenAI-compatible server, or name of a model of this workspace"] = None,
    host: Annotated[str | None, "name of a host, where the prompt upsampler of Cosmos-Transfer shall write"] = None,
    model: Annotated[str | None, "model that the server shall use; none = the first it offers"] = None,
    seconds: Annotated[float | None, "how long it may take; none = 120 for a server, 3600 on a host"] = None,
    preview: Annotated[bool, "show the text and store nothing"] = False,
) -> PromptReport:
    """Let a model write a fuller text, as a new version of the prompt; the old one stays.

    A server rewrites the text; its key comes from the environment variable TREADLE_ENHANCE_KEY. A model of this
    workspace, which was not tuned to rewrite, goes on from the text. On a host, the target's own model looks at the
    prompt's video, too: that is a job of the host's queue, which goes on by itself.
    """
    if (using is None) == (host is None):
        raise UsageError(
            "Say who shall write, and one of them only: --using http://ADDRESS/v1 (a server), --using MODEL (of this "
            "workspace), or --host HOST."
        )
    if seconds is not None and seconds <= 0:
        raise UsageError(f"seconds is {seconds:g}; it must be more than 0.")
    if host is not None:
        if model is not None:
            raise UsageError("--model is for servers; on a host the target's own prompt upsampler writes.")
        return _enhanced_on_host(workspace, name, host, seconds, preview=preview)
    seconds = 120.0 if seconds is None else seconds
    old, made = load("treadle.recipes.prompts:improve")(workspace, name, using, model, seconds, preview=preview)
    return _report(made, changed=not preview and made.version != old.version)


def _enhanced_on_host(
    workspace: WorkspaceFolder, name: str, host: str, seconds: float | None, *, preview: bool
) -> PromptReport:
    prompt, card = load("treadle.recipes.prompts_on_host:checked")(workspace, name, host)
    usual = load("treadle.recipes.prompts_on_host:SECONDS")
    payload = PromptEnhancePayload(name, prompt.version, host, usual if seconds is None else seconds, preview)
    with JobRequest(workspace, card.queue, "prompt.enhance", asdict(payload), "light").submit() as job:
        job.ensure_worker()
        return _report(prompt, changed=False, queued=job.id)


def _report(made: Any, **more: Any) -> PromptReport:  # noqa: ANN401 - a record of a room that is loaded by need
    return PromptReport(**load("treadle.recipes.prompts:facts")(made), **more)


def _rows(workspace: WorkspaceFolder, words: list[str], tag: str | None) -> PromptList:
    found, damaged = load("treadle.recipes.prompts:library")(workspace).search(words, tag)
    keys = ("name", "version", "purpose", "text", "tags", "created")
    rows = [{key: getattr(prompt, key) for key in keys} for prompt in found]
    return PromptList([{**row, "tags": list(row["tags"])} for row in rows], damaged)
