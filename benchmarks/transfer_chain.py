"""A transfer by `local-tiny` from the command to the file, and the same drawing in one process: what the chain costs.

`benchmarks/video.py --sections transfer` calls it. The model is of the usual size and has hardly learned: weights do
not change how long it takes. `bare` is a process that imports, loads, draws and writes, as a script would; `first` is
the first run of a workspace, which starts the worker; `warm` runs follow it; `batch` makes several with one load.
Moments are those at which events arrive in the run's own record.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from treadle.data.bundled.shapes import shape_clips
from treadle.video.frames import FrameWriter

RATE = 8
ALIKE = ("--host", "local", "--backend", "local-tiny", "--model", "mover", "--json")
BARE = """
import json, sys, time
began = time.perf_counter()
from pathlib import Path
from treadle.recipes.local_tiny import drawn, open_flow, write_video
from treadle.recipes.local_tiny_guides import guides_of
from treadle.store.workspace import WorkspaceFolder
marks = [("import", time.perf_counter() - began)]
def mark(name):
    marks.append((name, time.perf_counter() - began - sum(seconds for _, seconds in marks)))
opened = open_flow(WorkspaceFolder(Path(sys.argv[1])), "mover")
mark("load")
item = json.loads(sys.argv[2])
guides = guides_of(item, opened.decided.size)
mark("prepare")
video = drawn(opened, item, guides)
mark("draw")
write_video(video, Path(sys.argv[1]) / "bare.mp4", item, opened)
mark("write")
print(json.dumps(dict(marks)))
"""


def measured(frames: int, steps: int, rounds: int, together: int = 4) -> dict[str, Any]:
    """Seconds of every part, the median of `rounds`; `together` videos in the batch."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "lab"
        environment = {**os.environ, "TREADLE_WORKER_IDLE_SECONDS": "20"}
        _prepare(folder, frames, steps, environment)
        found: dict[str, Any] = {
            "clip": f"{frames} frames of 32x32, {steps} steps, guidance 1.5, clips of 8 frames that share 2",
            "first": _chain(folder, environment, frames),
        }
        bare, warm = [], []
        for _ in range(rounds):
            bare.append(_bare(folder, environment, frames, steps))
            warm.append(_chain(folder, environment, frames))
        found |= {"bare": _median(bare), "warm": _median(warm)}
        found["batch"] = {"videos": together, **_chain(folder, environment, frames * together, together)}
        _treadle(folder, environment, "worker", "stop")
    alone, whole = found["bare"]["total"], found["warm"]["total"]
    found["overhead_seconds"] = round(whole - alone, 2)
    found["overhead_share"] = round(1 - alone / whole, 2)
    found["batch"]["seconds_per_video"] = round(found["batch"]["total"] / together, 2)
    return found


def _prepare(folder: Path, frames: int, steps: int, environment: dict[str, str]) -> None:
    """A workspace with a model of four steps and a request along the edges of a drawn clip."""
    _treadle(folder.parent, environment, "init", str(folder))
    _treadle(folder, environment, "new", "mover", "--family", "video_flow")
    _treadle(folder, environment, "feed", "mover", "bundled:shapes:40")
    _treadle(folder, environment, "train", "mover", "--steps", "4")
    _treadle(folder, environment, "worker", "stop")
    (clip,) = shape_clips(1, 5, frames, 32)
    with FrameWriter(folder / "walk.mp4", Fraction(RATE), quality="lossless") as writer:
        for frame in clip.frames:
            writer.write(np.ascontiguousarray(frame))
    request = {"text": clip.caption, "video": "walk.mp4", "controls": {"edge": {"weight": 1.0}}}
    (folder / "walk.json").write_text(json.dumps({**request, "steps": steps, "overlap": 2, "fps": RATE}))


def _chain(folder: Path, environment: dict[str, str], frames: int, videos: int = 1) -> dict[str, float]:
    """One run through the queue and the local host, with the moments that its events tell."""
    known = set((folder / "runs").glob("r-*"))
    began, clock = time.time(), time.perf_counter()
    batch = ["--batch"] if videos > 1 else []
    _treadle(folder, environment, "transfer", "run", *["walk.json"] * videos, *ALIKE, *batch)
    total = time.perf_counter() - clock
    (run,) = set((folder / "runs").glob("r-*")) - known
    events = [json.loads(line) for line in (run / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    moments = {_name(event): event["time"] for event in reversed(events)}  # the first of a name counts
    last = max(event["time"] for event in events if event["type"] == "item")
    drawing = max(event["time"] for event in events if event["type"] in {"clip", "step"}) - moments["sampling"]
    parts = {
        "until_begun": moments["started"] - began,
        "staging": moments["starting"] - moments["staging"],
        "start": moments["running"] - moments["starting"],
        "first_event": moments["loading"] - moments["running"],
        "load": moments["preparing"] - moments["loading"],
        "prepare": moments["sampling"] - moments["preparing"],
        "draw": drawing,
        "end_noticed": moments["collecting"] - last,
        "collection": moments["ended"] - moments["collecting"],
        "answer": began + total - moments["ended"],
        "total": total,
    }
    return {**{key: round(value, 3) for key, value in parts.items()}, "frames_per_second": round(frames / drawing, 1)}


def _bare(folder: Path, environment: dict[str, str], frames: int, steps: int) -> dict[str, float]:
    control = {"kind": "edge", "map": None, "strength": "medium", "weights": [1.0] * frames}
    item = {"text": "", "negative": "", "video": str(folder / "walk.mp4"), "frames": frames, "size": [32, 32]}
    item |= {
        "controls": [control],
        "seed": 1,
        "steps": steps,
        "guidance": 1.5,
        "sigma": 70.0,
        "fps": RATE,
        "overlap": 2,
    }
    clock = time.perf_counter()
    command = [sys.executable, "-c", BARE, str(folder), json.dumps(item)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    total = time.perf_counter() - clock
    parts: dict[str, float] = json.loads(done.stdout)
    parts |= {"total": total, "frames_per_second": frames / parts["draw"]}
    return {key: round(value, 3) for key, value in parts.items()}


def _name(event: dict[str, Any]) -> str:
    return str(event.get("state") or event.get("stage") or event["type"])


def _median(rows: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(statistics.median(row[key] for row in rows), 3) for key in rows[0]}


def _treadle(folder: Path, environment: dict[str, str], *words: str) -> None:
    command = [sys.executable, "-m", "treadle", *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"treadle {' '.join(words)} ended with {done.returncode}: {done.stderr or done.stdout}")
