"""Reading a request: every key known, every number in range, every file there and of a fitting size, or a refusal.

The target's own validator lets misspelled keys, NaN, missing files and unequal lengths through, and the run fails, or
does something else, an hour later. All that is wrong is said at once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from treadle.base.errors import DataError, TreadleError, UsageError
from treadle.base.names import check_name, did_you_mean
from treadle.video import frames
from treadle.video.transfer.clips import shape
from treadle.video.transfer.spec import KINDS, STRENGTHS, Control, ControlKind, Material, NegativeFrom, TransferSpec
from treadle.video.transfer.weights import Adaptive, Mask, Schedule, Weight, read_weight
from treadle.video.transfer.weights_mask import mask_size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Settings = Callable[[Mapping[str, Any]], Mapping[str, Any]]

MOST_OVERLAP = 16
SETTINGS = ("seed", "steps", "guidance", "sigma", "fps", "blur", "edges")
"""Keys that whoever holds the defaults checks and completes."""
_OTHERS = ("name", "text", "negative", "video", "frames", "controls", "style", "overlap", "distilled")
_ORIGINS = ("negative_from", "given")
"""Keys that `to_mapping` adds: where the values of a complete request came from."""
_CONTROL_KEYS = ("weight", "map", "strength", "subject", "weight_subject")
_STRENGTH_OF = {"edge": "edges", "vis": "blur"}
_MAP_NEEDED = ("hdmap", "lidar")
_MEASURED = ("edge", "vis", "depth", "seg")


def read_spec_file(path: Path) -> dict[str, Any]:
    """The table in a JSON file; a key that stands twice, NaN and infinity are refused with `DataError`."""
    try:
        value = json.loads(path.read_bytes(), object_pairs_hook=_once, parse_constant=_no_constant)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is not a request that can be read: {error}") from error
    if not isinstance(value, dict):
        raise DataError(f"{path} must hold a table: {{...}}.")
    return value


def from_mapping(
    value: Mapping[str, Any], *, folder: Path, settings: Settings, negative: tuple[str, NegativeFrom]
) -> TransferSpec:
    """Read a request and look at all files that it names.

    Args:
        value: The keys of a request; see the guide page on transfers.
        folder: What paths are relative to.
        settings: Checks the keys of `SETTINGS` that are given and adds the others.
        negative: The negative text that counts when `value` has none, and whose it is.

    Raises:
        UsageError: Anything is wrong; the message names all of it.
    """
    return _Reading(value, folder, settings).spec(negative)


def to_mapping(spec: TransferSpec) -> dict[str, Any]:
    """A request that says everything, for `from_mapping` to read again anywhere: in a job, or from a stored file."""
    numbers = {key: getattr(spec, key) for key in ("seed", "steps", "guidance", "sigma", "fps", "overlap", "distilled")}
    return {
        "name": spec.name,
        "text": spec.text,
        "negative": spec.negative,
        "negative_from": spec.negative_from,
        "video": None if spec.video is None else str(spec.video.path),
        "frames": spec.frames,
        "style": None if spec.style is None else str(spec.style),
        "controls": {control.kind: _as_table(control) for control in spec.controls},
        **numbers,
        "given": list(spec.given),
    }


def _as_table(control: Control) -> dict[str, Any]:
    table = {
        "weight": control.weight.to_plain(),
        "map": None if control.map is None else str(control.map.path),
        "strength": control.strength,
        "subject": control.subject,
        "weight_subject": control.weight_subject,
    }
    return {key: value for key, value in table.items() if value is not None}


class _Reading:
    """One reading, which goes on after the first mistake."""

    def __init__(self, value: Mapping[str, Any], folder: Path, settings: Settings) -> None:
        self._value, self._folder = value, folder
        self._wrong: list[str] = []
        given = {key: value[key] for key in SETTINGS if key in value}
        truths = [key for key, one in given.items() if isinstance(one, bool)]
        self._wrong += [f"`{key}` is {str(given.pop(key)).lower()}; it must be a number or a name." for key in truths]
        self._settings: Mapping[str, Any] = {}
        with self._collected():
            self._settings = settings(given)

    def spec(self, negative: tuple[str, NegativeFrom]) -> TransferSpec:
        value = self._value
        self._known(value, (*SETTINGS, *_OTHERS, *_ORIGINS), "The request")
        name, text = self._text("name", "request"), self._text("text", "")
        with self._collected():
            check_name("request", name)
        if not text.strip():
            self._wrong.append("The text is empty; say what is to be seen.")
        given = value.get("negative")
        if given is not None:
            origin = value.get("negative_from", "spec")
            if origin not in ("default", "prompt", "spec"):
                self._wrong.append(f"`negative_from` is {origin!r}; it is default, prompt or spec.")
            negative = (self._text("negative", "").strip(), origin)
        video = self._material(value["video"], "video") if value.get("video") is not None else None
        controls = self._controls(video)
        count = self._frames(video, controls)
        style = self._file(value["style"], "style") if value.get("style") is not None else None
        overlap, distilled = value.get("overlap", 1), value.get("distilled", False)
        if not _whole(overlap) or not 0 <= overlap <= MOST_OVERLAP:
            self._wrong.append(f"`overlap` is {overlap!r}; it must be a whole number from 0 to {MOST_OVERLAP}.")
        if not isinstance(distilled, bool):
            self._wrong.append(f"`distilled` is {distilled!r}; it must be true or false.")
        self._refuse()
        numbers = {key: self._settings[key] for key in ("seed", "steps", "guidance", "sigma", "fps")}
        return TransferSpec(
            name,
            text.strip(),
            *negative,
            video,
            count,
            controls,
            style,
            **numbers,
            overlap=overlap,
            distilled=distilled,
            given=tuple(value.get("given", sorted(value))),
        )

    def _controls(self, video: Material | None) -> tuple[Control, ...]:
        table = self._value.get("controls")
        if not isinstance(table, dict) or not table:
            self._wrong.append('`controls` is missing; write for example {"edge": {"weight": 0.6}}.')
            return ()
        self._known(table, KINDS, "`controls`")
        first = next((one for one in table.values() if isinstance(one, dict) and one.get("map") is not None), None)
        source = video or (None if first is None else self._material(first["map"], "first map"))
        found = [self._control(kind, table[kind], source) for kind in table if kind in KINDS]
        if "upscale" in table and len(table) > 1:
            self._wrong.append("`upscale` stands alone: make the video first, then send it to be enlarged.")
        if "upscale" in table and video is None:
            self._wrong.append("`upscale` needs a video: it is what gets enlarged.")
        return tuple(one for one in found if one is not None)

    def _control(self, kind: str, value: Any, source: Material | None) -> Control | None:  # noqa: ANN401 - from JSON
        if not isinstance(value, dict):
            value = {"weight": value}
        self._known(value, _CONTROL_KEYS, f"The control {kind}")
        material = self._material(value["map"], f"{kind} map") if value.get("map") is not None else None
        if material is None and kind in _MAP_NEEDED:
            self._wrong.append(f"The control {kind} needs a map; no target makes one.")
        if material is not None and kind == "upscale":
            self._wrong.append("The control upscale takes no map; it works on the video.")
        if material is None and self._value.get("video") is None and value.get("map") is None:
            self._wrong.append(f"The control {kind} has no map, and there is no video to make it of.")
        if material is not None and source is not None:
            self._same_shape(material.path, (material.width, material.height), source)
        weight = self._weight(kind, value, material, source)
        strength = self._strength(kind, value)
        for key in ("subject", "weight_subject"):
            self._subject(kind, key, value, weight)
        if weight is None:
            return None
        subjects = value.get("subject"), value.get("weight_subject")
        return Control(cast("ControlKind", kind), weight, material, strength, *subjects)

    def _strength(self, kind: str, value: Mapping[str, Any]) -> str | None:
        given = value.get("strength")
        if given is not None and kind not in _STRENGTH_OF:
            self._wrong.append(f"The control {kind} has no strength; edge and vis have.")
        elif given is not None and value.get("map") is not None:
            self._wrong.append(f"The strength of {kind} would be ignored: there is a map already.")
        elif given is not None and given not in STRENGTHS:
            near = did_you_mean(str(given), STRENGTHS)
            self._wrong.append(f"The strength of {kind} is {given!r}; it is one of {', '.join(STRENGTHS)}.{near}")
        if value.get("map") is not None or kind not in _STRENGTH_OF:
            return None
        found: str | None = given or self._settings.get(_STRENGTH_OF[kind])
        return found

    def _subject(self, kind: str, key: str, value: Mapping[str, Any], weight: Weight | None) -> None:
        subject = value.get(key)
        if subject is None:
            return
        if kind != "seg":
            self._wrong.append(f"`{key}` of {kind} would be ignored: the target knows it for seg only.")
        elif not isinstance(subject, str) or not subject.strip():
            self._wrong.append(f"`{key}` of {kind} must be words such as `car tree`.")
        elif key == "subject" and value.get("map") is not None:
            self._wrong.append("`subject` of seg would be ignored: there is a map already.")
        elif key == "weight_subject" and not (isinstance(weight, Schedule) and weight.constant is not None):
            self._wrong.append("`weight_subject` of seg needs a weight that is one number.")

    def _weight(
        self, kind: str, value: Mapping[str, Any], material: Material | None, source: Material | None
    ) -> Weight | None:
        if "weight" not in value:
            self._wrong.append(f'The control {kind} has no weight; write {{"weight": 0.6}}.')
            return None
        with self._collected():
            found = read_weight(value["weight"], kind, folder=self._folder, fps=source.fps if source else 0.0)
            if isinstance(found, Adaptive) and kind not in _MEASURED:
                raise UsageError(f"The weight of {kind} cannot be adaptive; those of {', '.join(_MEASURED)} can.")
            if isinstance(found, Adaptive) and kind in {"depth", "seg"} and material is None:
                raise UsageError(f"An adaptive weight of {kind} is measured on its map; give one: `map`.")
            if isinstance(found, Mask):
                size = mask_size(found.path)
                if source is not None:
                    self._same_shape(found.path, size, source)
            return found
        return None

    def _frames(self, video: Material | None, controls: Sequence[Control]) -> int:
        sources = ([video] if video else []) + [control.map for control in controls if control.map is not None]
        given = self._value.get("frames")
        if given is not None and (not _whole(given) or given < 1):
            self._wrong.append(f"`frames` is {given!r}; it must be a whole number from 1 on.")
            return 1
        if not sources:
            return 1
        wanted: int = given if given is not None else (video or sources[0]).frames
        for one in sources:
            if one.frames < wanted:
                self._wrong.append(
                    f"{one.path} has {one.frames} frames where {wanted} are wanted; the result would end with it. "
                    f"Say so if you mean it: `frames` = {min(source.frames for source in sources)}."
                )
        return wanted

    def _same_shape(self, path: Path, size: tuple[int, int], source: Material) -> None:
        if shape(*size) != shape(source.width, source.height):
            self._wrong.append(
                f"{path} is {size[0]}x{size[1]}, of another shape than {source.path.name} "
                f"({source.width}x{source.height}); bring them to one shape first."
            )

    def _material(self, value: Any, where: str) -> Material | None:  # noqa: ANN401 - from JSON
        path = self._file(value, where)
        if path is None:
            return None
        with self._collected():
            return read_material(path)
        return None

    def _file(self, value: Any, where: str) -> Path | None:  # noqa: ANN401 - from JSON
        if not isinstance(value, str) or not value.strip():
            self._wrong.append(f"`{where}` is {value!r}; it must be the path of a file.")
            return None
        path = (self._folder / Path(value).expanduser()).resolve()
        if not path.is_file():
            self._wrong.append(f"The {where} {path} does not exist or is no file.")
            return None
        return path

    def _text(self, key: str, default: str) -> str:
        value = self._value.get(key, default)
        if not isinstance(value, str):
            self._wrong.append(f"`{key}` is {value!r}; it must be text.")
            return default
        return value

    def _known(self, table: Mapping[str, Any], known: Sequence[str], where: str) -> None:
        for key in table:
            if key not in known:
                self._wrong.append(
                    f"{where} has an unknown key `{key}`.{did_you_mean(str(key), known)} Known: {', '.join(known)}."
                )

    def _collected(self) -> _Collected:
        return _Collected(self._wrong)

    def _refuse(self) -> None:
        wrong = list(dict.fromkeys(self._wrong))
        if len(wrong) == 1:
            raise UsageError(wrong[0])
        if wrong:
            raise UsageError("\n".join([f"{len(wrong)} things are wrong:", *(f"- {line}" for line in wrong)]))


class _Collected:
    """Keeps what is wrong instead of ending the reading."""

    def __init__(self, wrong: list[str]) -> None:
        self._wrong = wrong

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, TreadleError):
            self._wrong.append(str(error))
            return True
        return False


def read_material(path: Path) -> Material:
    """Size, length and rate of a video; frames are counted where its file does not say. Raises `DataError`."""
    if path.suffix.lower() in frames.IMAGE_ENDINGS:
        raise DataError(f"{path} is a picture; make a video of it first: treadle video from-images.")
    found = frames.probe(path)
    with frames.opened(path) as (container, stream):
        count = stream.frames or sum(1 for packet in container.demux(stream) if packet.size)
    if not count or not found.fps:
        raise DataError(f"{path} is no video: it has {count} frames and {found.fps:g} a second.")
    return Material(path, found.width, found.height, count, found.fps)


def _whole(value: Any) -> bool:  # noqa: ANN401 - from JSON
    return isinstance(value, int) and not isinstance(value, bool)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key `{twice}` stands there twice")
    return found


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not a number that can be used")
