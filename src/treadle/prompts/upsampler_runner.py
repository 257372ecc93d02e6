"""Runs on a host, beside cosmos-transfer1 or inside its image: its own prompt upsampler writes a fuller text.

`python upsampler_runner.py PLAN.json`, by whatever Python 3.8 or later the target has. The plan names the text, the
video, the folder of checkpoints, the file for the answer, and the seconds after which it is given up. Lines that are
JSON with a key `event` are for whoever reads the log; `failed` says why in a word of `kind`.

The models are used one after the other, each in a process of its own: the one that writes fills the GPU, and so would
the guardrail's beside it. The guardrail is the one that a transfer asks before it begins; what it refuses is not kept.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

MODEL = "nvidia/Cosmos-UpsamplePrompt1-12B-Transfer"
GUARDS = ("nvidia/Cosmos-Guardrail1", "meta-llama/Llama-Guard-3-8B")
SAYS = "Upsampled prompt:"
"""What the target's program prints before the text."""
NO_MEMORY = ("out of memory", "OutOfMemory", "No available memory", "less than desired GPU memory")


class Failed(Exception):  # noqa: N818 - a reason, not an accident
    """Why there is no text: a word for programs, and a sentence."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


def say(event: str, **facts: object) -> None:
    """Tell one event."""
    print(json.dumps({"event": event, **facts}), flush=True)


def plan_of(plan_file: str) -> dict[str, Any]:
    """The plan; files in it lie beside it."""
    plan: dict[str, Any] = json.loads(Path(plan_file).read_text("utf-8"))
    folder = Path(plan_file).resolve().parent
    names = {"video": plan["video"], "answer": plan["answer"], "scratch": "scratch"}
    return {**plan, **{key: str(folder / name) for key, name in names.items()}}


def write(plan: dict[str, Any]) -> str:
    """The text, by the target's own program: its arguments, its frames of the video, its model."""
    from cosmos_transfer1.auxiliary.upsampler.inference import (  # type: ignore[import-not-found]
        upsampler_pipeline as program,
    )

    said: list[str] = []
    frames_of = program.extract_video_frames

    def frames(video: str) -> Any:  # noqa: ANN401 - a list of paths
        found = frames_of(video)
        if not found:
            raise Failed("video", f"no frame of {Path(video).name} can be read there")
        return found

    # Its text may have several lines, and its libraries print, too: what it hands to `print` is taken as it is.
    program.print = lambda *words: said.append(" ".join(map(str, words)))
    program.extract_video_frames = frames
    words = {"prompt": plan["text"], "input_video": plan["video"], "checkpoint_dir": plan["checkpoints"]}
    sys.argv = ["upsampler_pipeline.py", *(f"--{name}={value}" for name, value in words.items())]
    program.main()
    texts = [line[len(SAYS) :] for line in said if line.startswith(SAYS)]
    if not texts:
        raise Failed("code", f"its program has not said `{SAYS}`; this version of cosmos-transfer1 is not known here")
    better = " ".join(texts[-1].split())
    if not better:
        raise Failed("empty", "the model answered with an empty text")
    return better


def is_safe(plan: dict[str, Any], text: str) -> bool:
    """Whether the guardrail lets a text pass."""
    from cosmos_transfer1.auxiliary.guardrail.common import presets  # type: ignore[import-not-found]

    return bool(presets.run_text_guardrail(text, presets.create_text_guardrail_runner(plan["checkpoints"])))


def inside(plan: dict[str, Any], part: str) -> int:
    """Carry out one part in this process; what came of it lies in a file."""
    part_file = Path(plan["scratch"], f"{part}.json")
    try:
        if part == "write":
            found: dict[str, Any] = {"text": write(plan)}
        else:
            found = {"safe": is_safe(plan, json.loads(part_file.with_name("write.json").read_text("utf-8"))["text"])}
    except Failed as error:
        found = {"kind": error.kind, "reason": str(error)}
    except ImportError as error:
        found = {"kind": "code", "reason": str(error)}
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        found = {"kind": "memory" if any(mark in said for mark in NO_MEMORY) else "failed", "reason": said[:500]}
        import traceback

        traceback.print_exc()
    part_file.write_text(json.dumps(found), encoding="utf-8")
    return 0


def has_ended(pid: int) -> bool:
    """Whether a process has ended; it is not buried."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def carried_out(plan_file: str, plan: dict[str, Any], part: str, ends: float) -> dict[str, Any]:
    """Let a process of its own carry out a part, for as long as there is time."""
    part_file = Path(plan["scratch"], f"{part}.json")
    child = subprocess.Popen([sys.executable, "-u", __file__, plan_file, part], start_new_session=True)
    while not (over := has_ended(child.pid)) and time.monotonic() < ends:
        time.sleep(0.05)
    # Servers that a library started would stay behind. It is buried afterwards only: until then its number is its own.
    os.killpg(child.pid, signal.SIGKILL)
    code = child.wait()
    if not over:
        raise Failed("time", f"not done after {plan['seconds']:g} s")
    if not part_file.is_file():
        kind = "memory" if code == -signal.SIGKILL else "failed"
        raise Failed(kind, f"it ended with status {code} and without a word")
    found: dict[str, Any] = json.loads(part_file.read_text("utf-8"))
    if "kind" in found:
        raise Failed(found["kind"], found["reason"])
    return found


def missing(plan: dict[str, Any], names: tuple[str, ...]) -> list[str]:
    """Those checkpoints that are not there, or empty."""
    folders = [(name, Path(plan["checkpoints"], name)) for name in names]
    return [name for name, folder in folders if not folder.is_dir() or not any(folder.iterdir())]


def written(plan_file: str, plan: dict[str, Any]) -> dict[str, Any]:
    """Have the text written and looked at; returns the answer. Raises `Failed` if there is none that may be used."""
    began = time.monotonic()
    if missing(plan, (MODEL,)):
        raise Failed("checkpoint", f"{MODEL} is not in {plan['checkpoints']}")
    say("stage", stage="writing", model=MODEL)
    text = carried_out(plan_file, plan, "write", began + plan["seconds"])["text"]
    unguarded = missing(plan, GUARDS)
    if unguarded:
        say("unguarded", missing=unguarded)
    else:
        say("stage", stage="checking")
        if not carried_out(plan_file, plan, "check", began + plan["seconds"])["safe"]:
            raise Failed("guardrail", "the guardrail refuses the text that the model wrote")
    return {"text": text, "model": MODEL, "checked": not unguarded, "seconds": round(time.monotonic() - began, 1)}


def main(plan_file: str) -> int:
    """Have the text written; the answer is there as a whole or not at all."""
    plan = plan_of(plan_file)
    Path(plan["scratch"]).mkdir(exist_ok=True)
    os.environ["TMPDIR"] = plan["scratch"]  # the target lays frames into the temporary folder, under fixed names
    try:
        facts = written(plan_file, plan)
    except Failed as failed:
        say("failed", kind=failed.kind, reason=str(failed))
        return 1
    answer = Path(plan["answer"])
    answer.parent.mkdir(parents=True, exist_ok=True)
    answer.with_suffix(".part").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    answer.with_suffix(".part").replace(answer)
    return 0


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(inside(plan_of(sys.argv[1]), sys.argv[2]))
    sys.exit(main(sys.argv[1]))
