"""Requests for transfers: made of stored prompts or read from files, and explained before they cost anything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.base.errors import MissingExtraError, SettingsError, TreadleError, UsageError
from treadle.base.names import did_you_mean
from treadle.prompts.checks import remarks
from treadle.prompts.config import DEFAULT_NEGATIVE, VideoSettings
from treadle.prompts.library import PromptLibrary
from treadle.prompts.settings import checked, complete, read_pairs
from treadle.recipes import local_tiny_models, pictures

try:
    from treadle.video.transfer.dialects import local_tiny
    from treadle.video.transfer.dialects.catalog import DIALECTS
    from treadle.video.transfer.explain import explained
    from treadle.video.transfer.explain_picture import ControlView, views
    from treadle.video.transfer.spec import KINDS, TransferSpec
    from treadle.video.transfer.spec_reading import from_mapping, read_spec_file
    from treadle.video.transfer.weights import names_file
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in {"av", "cv2", "numpy", "PIL"}:
        raise
    raise MissingExtraError("Videos need an optional part: pip install 'treadle[video]'.") from error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from treadle.prompts.record import Prompt
    from treadle.store.workspace import WorkspaceFolder
    from treadle.video.frames import Frame
    from treadle.video.transfer.dialects.written import Dialect

_WEIGHTED = ("edge", "vis", "depth", "seg")
"""Controls whose weights are settings of prompts."""


def request(
    workspace: WorkspaceFolder, source: str, weights: Sequence[str] = (), changes: Sequence[str] = ()
) -> TransferSpec:
    """The request that a stored prompt or a file (`.json`) makes.

    Args:
        workspace: Where prompts are.
        source: Name of a prompt, or path of a file.
        weights: `CONTROL=WEIGHT` pairs that count before those of the source.
        changes: `NAME=VALUE` settings that count before those of the source.

    Raises:
        NotFoundError: There is no such prompt.
        DataError: The file cannot be read.
        UsageError: The request is wrong; the message names all of it.
    """
    path = Path(source).expanduser()
    if path.suffix == ".json":
        mapping = read_spec_file(path)
        mapping.setdefault("name", path.stem)
        return spec_of(_changed(mapping, weights, changes), path.resolve().parent)
    prompt = PromptLibrary(workspace.root / "prompts", workspace.trash).get(source)
    return of_prompt(prompt, weights, changes)


def explain(
    workspace: WorkspaceFolder,
    source: str,
    target: tuple[str, str | None],
    given: tuple[Sequence[str], Sequence[str]],
    *,
    variants: int,
    picture: tuple[Path | None, int],
) -> dict[str, Any]:
    """Everything about a request in the words of a target.

    Args:
        workspace: Where prompts and models are.
        source: Name of a prompt, or path of a file.
        target: Name of the dialect; and which model of local-tiny, None = the only one.
        given: Weights and settings that count before those of the source.
        variants: How many results with other noise.
        picture: A file to draw, and the frame for it.
    """
    if variants < 1:
        raise UsageError(f"variants is {variants}; it must be 1 or more.")
    path, frame = picture
    if path is not None:
        pictures.check_target(path)
    words = _words(workspace, *target)
    spec = suited(request(workspace, source, *given), words.name)
    found = explained(spec, words, variants)
    if path is not None:
        shown, controls = views(spec, words.plan(spec), frame)
        _draw(shown, controls, f"{spec.name}, frame {frame}", path)
    return {"source": source, **found, "picture": None if path is None else str(path)}


def suited(spec: TransferSpec, dialect: str) -> TransferSpec:
    """The request with settings that suit the target where nobody set any."""
    return local_tiny.usual(spec) if dialect == local_tiny.DIALECT.name else spec


def _words(workspace: WorkspaceFolder, dialect: str, model: str | None) -> Dialect:
    """A dialect; for local-tiny that of a model, whose clips are its own."""
    if dialect != local_tiny.DIALECT.name:
        if model is not None:
            raise UsageError(f"--model is for local-tiny; {dialect} has no models of this workspace.")
        found: Dialect = DIALECTS.get(dialect)
        return found
    if model is not None:
        local_tiny_models.chosen(workspace, model)  # a wrong name is an error, a missing one an assumption
    clip = local_tiny_models.clip_frames(workspace, model)
    return local_tiny.DIALECT if clip is None else local_tiny.LocalTiny(clip)


def preview(prompt: Prompt) -> dict[str, Any]:
    """What would be sent of a prompt: `sent`, `remarks` and `unsaid`, or `cannot` with the reason."""
    try:
        found = explained(of_prompt(prompt), "transfer1")
    except TreadleError as error:
        return {"cannot": str(error)}
    return {"dialect": "transfer1", **{key: found[key] for key in ("sent", "clips", "waste", "unsaid", "remarks")}}


def of_prompt(prompt: Prompt, weights: Sequence[str] = (), changes: Sequence[str] = ()) -> TransferSpec:
    """The request that a prompt makes; raises `UsageError` for one that is no request for a video."""
    if prompt.purpose != "video":
        raise UsageError(f"`{prompt.name}` is a prompt for a {prompt.purpose}; a transfer needs one for a video.")
    wrong = [remark.text for remark in remarks(prompt) if remark.level == "error"]
    if wrong:
        raise UsageError(f"`{prompt.name}` cannot be sent: {' '.join(wrong)}")
    return spec_of(_changed(_mapping(prompt), weights, changes), Path("/"))


def spec_of(mapping: Mapping[str, Any], folder: Path = Path("/")) -> TransferSpec:
    """Read a request, with the defaults that prompts have; paths are relative to `folder`."""
    return from_mapping(mapping, folder=folder, settings=_settings, negative=(DEFAULT_NEGATIVE, "default"))


def _settings(given: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return complete(VideoSettings, checked(VideoSettings, given))
    except SettingsError as error:
        raise UsageError(str(error).replace(" on the command line", "")) from error


def _mapping(prompt: Prompt) -> dict[str, Any]:
    inputs = {one.kind: one.path for one in prompt.inputs}
    settings = dict(prompt.settings)
    controls: dict[str, dict[str, Any]] = {
        kind: {"weight": settings.pop(kind)} for kind in _WEIGHTED if settings.get(kind)
    }
    mapping: dict[str, Any] = {"name": prompt.name, "text": prompt.text, **settings}
    mapping = {key: value for key, value in mapping.items() if key not in _WEIGHTED}
    if prompt.negative is not None:
        mapping |= {"negative": prompt.negative, "negative_from": "prompt"}
    for key, kind in (("video", "video"), ("style", "image")):
        if kind in inputs:
            mapping[key] = inputs[kind]
    for kind, table in controls.items():
        if kind in inputs:
            table["map"] = inputs[kind]
    mapping["controls"] = controls
    mapping["_inputs"] = inputs
    return mapping


def _changed(mapping: dict[str, Any], weights: Sequence[str], changes: Sequence[str]) -> dict[str, Any]:
    """The mapping with what was given on the command line laid over it."""
    inputs = mapping.pop("_inputs", {})
    given = dict(_pair(pair) for pair in weights)
    for key, value in read_pairs(changes).items():
        if key in KINDS:
            given[key] = value
        else:
            mapping[key] = value
    controls = dict(mapping["controls"]) if isinstance(mapping.get("controls"), dict) else {}
    for kind, weight in given.items():
        old = controls.get(kind)
        table = dict(old) if isinstance(old, dict) else {}
        if kind in inputs:
            table.setdefault("map", inputs[kind])
        controls[kind] = {**table, "weight": weight}
    if given:
        mapping["controls"] = {kind: one for kind, one in controls.items() if given.get(kind) not in (0, "0", 0.0)}
    if "mask" in inputs:
        mapping["controls"] = {kind: _masked(one, inputs["mask"]) for kind, one in mapping["controls"].items()}
    return mapping


def _masked(table: dict[str, Any], mask: str) -> dict[str, Any]:
    """A control that counts where the prompt's mask is white."""
    return {**table, "weight": {"mask": mask, "inside": table["weight"]}}


def _pair(pair: str) -> tuple[str, Any]:
    """`CONTROL=WEIGHT`; a mask's path is taken from where the command runs."""
    kind, equals, weight = pair.partition("=")
    if not equals or not weight:
        raise UsageError(f"Cannot read the weight `{pair}`: write CONTROL=WEIGHT, such as edge=0.6 or depth=adaptive.")
    if kind not in KINDS:
        raise UsageError(f"There is no control `{kind}`.{did_you_mean(kind, KINDS)} Known: {', '.join(KINDS)}.")
    return kind, str(Path(weight).expanduser().resolve()) if names_file(weight) else weight


def _draw(frame: Frame, controls: Sequence[ControlView], title: str, path: Path) -> None:
    """The frame and the controls' maps above, and below each map where and how strongly it counts."""
    columns = len(controls) + 1
    figure, _ = pictures.new_figure(3.4 * columns + 0.6, 4.6)
    figure.clear()
    axes = figure.subplots(2, columns, squeeze=False)
    axes[0][0].imshow(frame)
    axes[0][0].set_title(title, loc="left", fontsize=10)
    free = 1 - sum(view.weights for view in controls)
    below = [("free: left to text and noise", free)]
    for place, view in enumerate(controls, 1):
        low, high = float(view.weights.min()), float(view.weights.max())
        if view.map is not None:
            axes[0][place].imshow(view.map)
        else:
            axes[0][place].text(
                0.5, 0.5, "made by the target", ha="center", va="center", transform=axes[0][place].transAxes
            )
        axes[0][place].set_title(view.kind, loc="left", fontsize=10)
        below.append(
            (f"weight of {view.kind}: {low:.2f}" + (f" to {high:.2f}" if high - low > 0.005 else ""), view.weights)
        )
    drawn = []
    for column, (name, weights) in enumerate(below):
        drawn.append(axes[1][column].imshow(weights, vmin=0, vmax=1, cmap="viridis"))
        axes[1][column].set_title(name, loc="left", fontsize=10)
    for row in axes:
        for one in row:
            one.set_xticks([])
            one.set_yticks([])
    figure.colorbar(drawn[0], ax=axes[1].tolist(), fraction=0.03, pad=0.01)
    pictures.write_figure(figure, path)
