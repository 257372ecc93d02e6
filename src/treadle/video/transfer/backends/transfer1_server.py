"""NVIDIA's cosmos-transfer1 through its model server: loaded once, used for many launches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from treadle.base.hashing import hash_json
from treadle.video.transfer.backends import said, transfer1_checkpoints
from treadle.video.transfer.backends.program import Program, launcher
from treadle.video.transfer.dialects.transfer1 import DIALECT
from treadle.video.transfer.dialects.written import Written, WrittenRun, refuse

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from treadle.video.transfer.backends.backend import Event, LaunchSettings, Places
    from treadle.video.transfer.dialects.written import Content
    from treadle.video.transfer.spec import TransferSpec

_DRIVER: Final = Path(__file__).with_name("warm_driver.py")
_NUMBERS: Final = ("guidance", "num_steps", "seed", "sigma_max", "negative_prompt", "prompt", "num_input_frames")
_STRENGTHS: Final = ("blur_strength", "canny_threshold")
_FPS: Final = 24
_NO_GUARDRAIL: Final = "The model server runs without the guardrail."
_EXCHANGE: Final = "/tmp"  # noqa: S108 - where the target's server and its workers look, whatever one sets


class Transfer1Server(Program):
    """`server/model_worker.py`, which takes a request as a file and says by another how it went."""

    name = "transfer1-server"
    words = DIALECT

    def __init__(self, exchange: str = _EXCHANGE) -> None:
        """Talk to workers that look for their files in `exchange`."""
        self._exchange = exchange

    def shared(self, spec: TransferSpec) -> Hashable | None:
        """See `Backend`: each request is complete, so that only what is loaded must be the same."""
        return None if DIALECT.shared(spec) is None else self.key(spec)

    def needs(self, spec: TransferSpec) -> tuple[str, ...]:
        """See `Backend`: it has no guardrail."""
        return transfer1_checkpoints.needed(spec)

    def write(self, specs: Sequence[TransferSpec], folder: str, settings: LaunchSettings) -> Written:
        """See `Backend`."""
        del settings
        refuse(self.name, [reason for spec in specs for reason in _impossible(spec)])
        files: dict[str, Content] = {"warm_driver.py": _DRIVER.read_bytes()}
        places = [f"item_{number}" for number in range(len(specs))]
        parts = [DIALECT.write([spec], f"{folder}/{place}") for spec, place in zip(specs, places, strict=True)]
        runs = []
        for place, part in zip(places, parts, strict=True):
            files |= {f"{place}/{name}": content for name, content in part.files.items()}
        for number in range(len(parts[0].runs)):
            requests = []
            for place, part in zip(places, parts, strict=True):
                spec_file = part.runs[number].arguments[1]
                name = spec_file.removeprefix(f"{folder}/{place}/")
                requests.append(_parameters(json.loads(_text(part.files[name])), f"{folder}/outputs/{number}/{place}"))
            key = self.key(specs[0])
            files[f"requests_{number}.json"] = json.dumps({"key": key, "requests": requests}, indent=1).encode()
            first = parts[0].runs[number]
            outputs = tuple(f"outputs/{number}/{place}/output.mp4" for place in places)
            argument = f"{folder}/requests_{number}.json"
            runs.append(WrittenRun((argument,), outputs, first.first, first.frames))
        unsaid = dict.fromkeys(line for part in parts for line in part.unsaid)
        unsaid |= dict.fromkeys(f"fps={spec.fps}: the server writes {_FPS}." for spec in specs if spec.fps != _FPS)
        remarks = (*parts[0].remarks, _NO_GUARDRAIL)
        return Written(self.words.name, files, tuple(runs), tuple(unsaid), remarks, ("warm_driver.py",))

    def argv(self, written: Written, run: WrittenRun, places: Places, settings: LaunchSettings) -> list[str]:
        """See `Backend`."""
        order = {
            "state": f"{places.state}/{self.name}",
            "exchange": self._exchange,
            "workers": places.gpus,
            "start": [*launcher(places), "server/model_worker.py"],
            "folder": places.code,
            "environment": self.environment(places, settings),
            "checkpoints": hash_json([places.checkpoints, places.code, places.gpus]),
            "idle_seconds": settings.idle_seconds,
            "memory_gb": settings.memory_gb,
        }
        return [places.python, f"{places.run}/{written.program[0]}", run.arguments[0], json.dumps(order)]

    def environment(self, places: Places, settings: LaunchSettings) -> dict[str, str]:
        """See `Backend`."""
        del settings
        return {
            "PYTHONPATH": places.code,
            "PYTHONUNBUFFERED": "1",
            "CHECKPOINT_DIR": places.checkpoints,
            "NUM_GPU": str(places.gpus),
        }

    def event(self, line: str) -> Event | None:
        """See `Backend`: the driver's own lines, and those of the server that it passes on."""
        if (told := said.event_of(line)) is not None:
            return told
        found = super().event(line)
        return None if found is not None and found.type in {"item", "batch"} else found


BACKEND = Transfer1Server()


def _impossible(spec: TransferSpec) -> list[str]:
    found = []
    if spec.distilled:
        found.append("The distilled model is not served.")
    if {"hdmap", "lidar", "keypoint"} & set(spec.kinds):
        found.append("The server knows vis, edge, depth, seg and upscale.")
    return found


def _text(content: Content) -> bytes:
    if not isinstance(content, bytes):
        raise TypeError("a dialect writes its JSON as bytes")
    return content


def _parameters(value: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """What the server's own validator makes of a file of controls: the form in which its workers take a request."""
    found = {key: value[key] for key in _NUMBERS if key in value}
    found |= {key: value.get(key, "medium") for key in _STRENGTHS}
    if value.get("input_video_path"):
        found["input_video"] = value["input_video_path"]
    controls = {key: one for key, one in value.items() if isinstance(one, dict)}
    return {**found, "controlnet_specs": controls, "output_dir": folder}
