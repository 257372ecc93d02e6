"""Video tools beside what people would use instead: frames in between, control maps, reading, writing, memory.

    python benchmarks/video.py --clip bigbuckbunny.mp4 --results benchmarks/results/video.json
    python benchmarks/video.py --sections transfer --frames 48 --results benchmarks/results/video.json
    python benchmarks/video.py --sections memory --tool deflicker --frames 10000 --results benchmarks/results/video.json

- `interpolation`: every second frame is left out and made again, by Treadle and by FFmpeg's `minterpolate` in its best
  mode (motion compensation, overlapped blocks, bidirectional search; the library inside PyAV). PSNR (RGB) and SSIM
  (luminance) of the frames that both have made; frames a second, from arrays to arrays. minterpolate is measured twice:
  for quality in full colour resolution, for speed in 4:2:0, which suits it best in each.
- `controls`: maps of frames in memory, and read from the file, beside a plain loop over OpenCV's own functions.
- `codec`: reading beside OpenCV's VideoCapture; writing in three qualities beside OpenCV's VideoWriter (MPEG-4 part 2,
  the best that its wheel can write), with the size and the PSNR of what was written.
- `transfer`: a transfer by `local-tiny` from the command to the file, beside the bare model in one process
  (`transfer_chain.py`).
- `memory`: one tool over a generated clip of so many frames, as a process of its own: peak memory, seconds. Run it for
  one tool at a time; results of others stay in the file.

Clips are generated (a gliding texture with discs, a turning and growing one, scenes with cuts), and those given, known
by their file's name. Rounds of the two sides take turns; the median counts.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import cv2
import numpy as np

from treadle.video import controls, frames, interpolation
from treadle.video.measures import psnr, ssim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from treadle.video.frames import Frame

HERE = Path(__file__).resolve()
RATE = 24
SECTIONS = ("interpolation", "controls", "codec", "transfer", "memory")
BEST = "mi_mode=mci:mc_mode=aobmc:me_mode=bidir:vsbmc=1"
TOOLS: dict[str, list[str]] = {
    "controls-edge": ["controls", "CLIP", "edge", "--out", "OUT"],
    "controls-vis": ["controls", "CLIP", "vis", "--strength", "low", "--out", "OUT"],
    "controls-depth": ["controls", "CLIP", "depth", "--maps", "CLIP", "--out", "OUT"],
    "interpolate": ["interpolate", "CLIP", "--to", "48", "--out", "OUT"],
    "interpolate-check": ["interpolate", "CLIP", "--check"],
    "smooth": ["smooth", "CLIP", "--out", "OUT"],
    "deflicker": ["deflicker", "CLIP", "--out", "OUT"],
    "chunk": ["chunk", "CLIP", "--out", "pieces"],
    "stitch": ["stitch", "pieces", "--out", "OUT"],
    "coherence": ["coherence", "CLIP", "--plot", "plot.png"],
    "compare": ["compare", "CLIP", "CLIP", "--plot", "plot.png"],
}

CHILD = """
import json, resource, sys, time
from pathlib import Path
from treadle.jobs.context import RunContext
from treadle.jobs.runs import create_run
from treadle.operations.api import Workspace
from treadle.operations.operation import find_operation
from treadle.operations.video import VideoPayload
from treadle.recipes.catalog import VIDEO
from treadle.store.workspace import find_workspace
from treadle.telemetry.events import EventLog
from treadle.registry.catalogue import load

folder, request = Path(sys.argv[1]), json.loads(sys.argv[2])
workspace = find_workspace(folder)
entry = find_operation(request["operation"])
kinds = {"to": float, "out": Path, "plot": Path, "maps": Path}
named = {key: kinds[key](value) if key in kinds else value for key, value in request["named"].items()}
control = [word for word in request["files"] if word in ("edge", "vis", "depth")]
files = [Path(word) for word in request["files"] if word not in control]
asked = entry.function(workspace, *files, *control, **named)
payload = VIDEO.validate(asked.payload)
run = create_run(workspace, asked.kind, asked.payload)
run_tool = load(VIDEO.recipe)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
began = time.monotonic()
answer = run_tool(RunContext(workspace, run, EventLog(run.events)), payload)
print(json.dumps({"seconds": round(time.monotonic() - began, 1), "frames": answer.get("frames"),
    "rss_before_mb": before // 1024, "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))
"""


def texture(seed: int, height: int, width: int) -> Frame:
    """Smooth noise: something to follow everywhere."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    soft = cv2.GaussianBlur(noise, (0, 0), 4).astype(np.float32)
    return ((soft - soft.min()) / (soft.max() - soft.min()) * 220 + 15).astype(np.uint8)


def generated(kind: str, count: int, height: int = 360, width: int = 640) -> Iterator[Frame]:
    """Clips made by rule; `small` is for long ones."""
    grounds = [texture(seed, height * 2, width * 2) for seed in range(1, 5)]
    for number in range(count):
        ground = grounds[number // 15 % 4] if kind == "cuts" else grounds[0]
        angle, zoom = (0.6 * number, 1 + 0.006 * number) if kind == "turning" else (0.0, 1.0)
        matrix = cv2.getRotationMatrix2D((width, height), angle, zoom)
        glide = 3.2 * number if kind != "small" else 30 * np.sin(number / 40)
        matrix[:, 2] -= (width / 2 + glide % (width / 2), height / 2)
        view = cv2.warpAffine(ground, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        for disc in range(3):
            place = (int(width * (0.5 + 0.4 * np.sin(number / 14 + 2 * disc))), int(height * (0.25 + 0.25 * disc)))
            cv2.circle(view, place, height // 9, (200, 60 * disc, 40), -1, cv2.LINE_AA)
        yield np.asarray(view, np.uint8)


def ours(given: list[Frame]) -> dict[int, Frame]:
    made = interpolation.interpolated(given, Fraction(RATE, 2), Fraction(RATE))
    return dict(enumerate(made))


def ffmpegs(given: list[Frame], pixels: str) -> dict[int, Frame]:
    """The same by minterpolate, by the number of the frame at the full rate."""
    graph = av.filter.Graph()
    height, width = given[0].shape[:2]
    source = graph.add_buffer(width=width, height=height, format="rgb24", time_base=Fraction(1, RATE))
    steps = [
        graph.add("format", pixels),
        graph.add("fps", f"{RATE}/2"),
        graph.add("minterpolate", f"fps={RATE}:{BEST}"),
        graph.add("format", "rgb24"),
        graph.add("buffersink"),
    ]
    for first, second in zip([source, *steps], steps, strict=False):
        first.link_to(second)
    graph.configure()
    found: dict[int, Frame] = {}

    def pulled() -> None:
        while True:
            try:
                frame = graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            number = round(frame.pts * frame.time_base * RATE)
            found[number] = frame.to_ndarray(format="rgb24")

    for place, one in enumerate(given):
        frame = av.VideoFrame.from_ndarray(one, format="rgb24")
        frame.pts, frame.time_base = 2 * place, Fraction(1, RATE)
        graph.push(frame)
        pulled()
    graph.push(None)
    pulled()
    return found


def timed(action: Callable[[], Any]) -> tuple[Any, float, float]:
    """What came of it, seconds, and processor seconds of all threads."""
    began, used = time.perf_counter(), time.process_time()
    found = action()
    return found, time.perf_counter() - began, time.process_time() - used


def median_rate(count: int, actions: dict[str, Callable[[], Any]], rounds: int) -> dict[str, Any]:
    """Frames a second of several ways, which take turns."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            _, seconds, used = timed(action)
            taken[name].append((seconds, used))
    return {
        name: {
            "frames_per_second": round(count / statistics.median(row[0] for row in rows), 1),
            "processor_ms_per_frame": round(1000 * statistics.median(row[1] for row in rows) / count, 2),
        }
        for name, rows in taken.items()
    }


def interpolation_of(clip: list[Frame], rounds: int) -> dict[str, Any]:
    given = clip[::2]
    whole = ffmpegs(given, "yuv444p")
    mine = ours(given)
    both = [n for n in range(1, len(clip) - 1, 2) if n in whole and n in mine]
    quality = {
        name: {
            "psnr": round(statistics.mean(psnr(clip[n], made[n]) for n in both), 2),
            "psnr_least": round(min(psnr(clip[n], made[n]) for n in both), 2),
            "ssim": round(statistics.mean(ssim(clip[n], made[n]) for n in both), 4),
        }
        for name, made in (("treadle", mine), ("minterpolate", whole))
    }
    ways = {"treadle": lambda: ours(given), "minterpolate": lambda: ffmpegs(given, "yuv420p")}
    speed = median_rate(len(given) - 1, ways, rounds)  # frames in between, each way
    return {
        "size": f"{clip[0].shape[1]}x{clip[0].shape[0]}",
        "predicted_frames": len(both),
        **{name: {**quality[name], **speed[name]} for name in quality},
        "times_as_fast": round(speed["treadle"]["frames_per_second"] / speed["minterpolate"]["frames_per_second"], 1),
    }


def controls_of(path: Path, count: int, rounds: int) -> dict[str, Any]:
    clip = first(frames.read_frames(path), count)
    blur = controls.BLURS["medium"]

    def plain_vis(frame: Frame) -> object:
        height, width = frame.shape[:2]
        small = cv2.resize(frame, (width // blur.downscale, height // blur.downscale), interpolation=cv2.INTER_AREA)
        soft = cv2.bilateralFilter(small, blur.diameter, blur.sigma_color, blur.sigma_space)
        soft = cv2.resize(soft, (width, height))
        coarse = cv2.resize(soft, (width // blur.coarse, height // blur.coarse), interpolation=cv2.INTER_AREA)
        return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)

    maps: dict[str, tuple[Callable[[Frame], Any], Callable[[Any], Any]]] = {
        "edge": (lambda frame: controls.edge_map(frame, "medium"), lambda frame: cv2.Canny(frame, 100, 200)),
        "vis": (lambda frame: controls.blurred(frame, "medium"), plain_vis),
    }
    found: dict[str, Any] = {"clip": path.name, "size": f"{clip[0].shape[1]}x{clip[0].shape[0]}", "frames": count}
    for name, (mine, plain) in maps.items():
        few = clip[: max(8, count // 4)] if name == "vis" else clip
        some = len(few)
        ways = {"treadle": lambda few=few, f=mine: each(few, f), "opencv": lambda few=few, f=plain: each(few, f)}
        found[name] = {"in_memory": median_rate(len(few), ways, rounds)}
        ways = {
            "treadle": lambda n=some, f=mine: each(first(frames.read_frames(path), n), f),
            "opencv": lambda n=some, f=plain: each(captured(path, n), f),
        }
        found[name]["read_and_mapped"] = median_rate(len(few), ways, rounds)
    return found


def codec_of(path: Path, count: int, rounds: int) -> dict[str, Any]:
    clip = first(frames.read_frames(path), count)
    ways = {
        "treadle": lambda: each(first(frames.read_frames(path), count), len),
        "opencv": lambda: each(captured(path, count), len),
    }
    found: dict[str, Any] = {"clip": path.name, "frames": count, "reading": median_rate(count, ways, rounds)}
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{name}.mp4" for name in ("good", "high", "lossless", "opencv-mp4v")}
        writers: dict[str, Callable[[], Any]] = {
            name: (lambda name=name: plainly_written(clip, files[name]))
            if name.startswith("opencv")
            else (lambda name=name: written(clip, files[name], name))
            for name in files
        }
        found["writing"] = median_rate(count, writers, 1)
        for name, file in files.items():
            back = frames.read_frames(file)
            level = statistics.mean(psnr(a, b) for a, b in zip(clip, back, strict=True))
            found["writing"][name] |= {"megabytes": round(file.stat().st_size / 1e6, 2), "psnr": round(level, 1)}
    return found


def written(clip: list[Frame], path: Path, quality: frames.Quality) -> None:
    with frames.FrameWriter(path, Fraction(RATE), quality=quality) as writer:
        for frame in clip:
            writer.write(frame)


def plainly_written(clip: list[Frame], path: Path) -> None:
    size = (clip[0].shape[1], clip[0].shape[0])
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), RATE, size)
    for frame in clip:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()


def captured(path: Path, count: int) -> Iterator[Any]:
    """Frames as a plain OpenCV loop has them."""
    capture = cv2.VideoCapture(str(path))
    for _ in range(count):
        good, frame = capture.read()
        if not good:
            break
        yield frame
    capture.release()


def first(source: Iterable[Frame], count: int) -> list[Frame]:
    found = []
    for frame in source:
        found.append(frame)
        if len(found) == count:
            break
    return found


def each(clip: Iterable[Any], action: Callable[[Any], Any]) -> None:
    for frame in clip:
        action(frame)


def memory_of(tool: str, count: int, folder: Path) -> dict[str, Any]:
    """One tool over a clip of `count` small frames, in a process of its own; the clip is made once and kept."""
    folder.mkdir(parents=True, exist_ok=True)
    clip = folder / f"small-{count}.mp4"
    if not clip.exists():
        with frames.FrameWriter(clip, Fraction(RATE), quality="high") as writer:
            for frame in generated("small", count, 90, 160):
                writer.write(frame)
    if not (folder / "treadle.yaml").exists():
        subprocess.run([sys.executable, "-m", "treadle", "init", str(folder)], check=True, capture_output=True)
    verb, *words = TOOLS[tool]
    for word in words:
        if word == "OUT":
            (folder / f"{tool}.mp4").unlink(missing_ok=True)
    named: dict[str, Any] = {}
    files: list[str] = []
    while words:
        word = words.pop(0)
        value = {"CLIP": str(clip), "OUT": str(folder / f"{tool}.mp4")}
        if word.startswith("--"):
            key = word.removeprefix("--")
            following = words.pop(0) if words and not words[0].startswith("--") else True
            plain = value.get(str(following), following)
            named[key] = plain
        else:
            files.append(value.get(word, word))
    request = {"operation": f"video.{verb}", "files": files, "named": named}
    command = [sys.executable, "-c", CHILD, str(folder), json.dumps(request)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=folder)
    return {"clip": f"160x90, {count} frames", **json.loads(done.stdout)}


def facts() -> dict[str, Any]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=HERE.parent, check=True
    )
    return {
        "commit": commit.stdout.strip(),
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "versions": {"av": av.__version__, "ffmpeg": av.ffmpeg_version_info, "opencv": cv2.__version__},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, action="append", default=[], help="a video; may be repeated")
    parser.add_argument("--sections", default="interpolation,controls,codec")
    parser.add_argument("--frames", type=int, default=49, help="of each clip")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tool", choices=sorted(TOOLS), help="for memory")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "treadle-video-memory")
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    wanted = given.sections.split(",")
    if unknown := set(wanted) - set(SECTIONS):
        parser.error(f"unknown sections {sorted(unknown)}; known are {', '.join(SECTIONS)}")
    report: dict[str, Any] = {}
    if given.results and given.results.exists():
        report = json.loads(given.results.read_text())
    here: dict[str, Any] = {
        "command": " ".join(["python", "benchmarks/video.py", *shown(sys.argv[1:])]),
        **facts(),
    }
    if "interpolation" in wanted:
        clips = {f"generated {kind}": list(generated(kind, given.frames)) for kind in ("gliding", "turning", "cuts")}
        for path in given.clip:
            clip = first(frames.read_frames(path), given.frames)
            clips[path.name] = [frames.resized(frame, 640, 360) for frame in clip]
        report["interpolation"] = {
            **here,
            "clips": {name: interpolation_of(clip, given.rounds) for name, clip in clips.items()},
        }
    if "controls" in wanted:
        report["controls"] = {**here, "clips": [controls_of(path, given.frames, given.rounds) for path in given.clip]}
    if "codec" in wanted:
        report["codec"] = {**here, "clips": [codec_of(path, given.frames, given.rounds) for path in given.clip]}
    if "transfer" in wanted:
        from transfer_chain import measured

        report["transfer"] = {**here, "torch": version("torch"), **measured(given.frames, 24, given.rounds)}
    if "memory" in wanted:
        if given.tool is None:
            parser.error("memory wants one --tool at a time")
        rows = report.setdefault("memory", {})
        rows.setdefault(given.tool, {})[str(given.frames)] = {
            **here,
            **memory_of(given.tool, given.frames, given.folder),
        }
    print(json.dumps(report, indent=2))
    if given.results:
        given.results.write_text(json.dumps(report, indent=2) + "\n")


def shown(words: list[str]) -> list[str]:
    """The command without the folders of this machine."""
    return [Path(word).name if word.startswith("/") else word for word in words]


if __name__ == "__main__":
    main()
