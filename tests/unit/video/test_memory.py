"""No tool holds a video: a clip five times as long needs no more memory."""

import tracemalloc

import numpy as np
import pytest
from clips import HEIGHT, WIDTH, moving, stored

from treadle.jobs.context import RunContext
from treadle.jobs.runs import RunFolder
from treadle.operations.gallery import GalleryComparePayload
from treadle.operations.video import VideoPayload
from treadle.recipes import gallery_compare
from treadle.recipes.video import run
from treadle.store.workspace import create_workspace
from treadle.telemetry.events import EventLog

SHORT, LONG = 12, 60
HELD = 0.2
"""Share of the additional frames from which they count as held."""
TOOLS = {
    "depth": {"control": "depth", "given": "maps", "near": "bright", "quality": "good"},
    "interpolate": {"to": 37, "quality": "good"},
    "smooth": {"seconds": 0.5, "quality": "good"},
    "deflicker": {"seconds": 0.5, "quality": "good"},
    "stitch": {"join": "blend", "match": True, "quality": "good"},
    "coherence": {},
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """By length: a clip, its depths, and its pieces."""
    folder = tmp_path_factory.mktemp("clips")
    context = RunContext(create_workspace(folder / "w"), RunFolder(folder / "w/runs/r-1"), EventLog(folder / "e.jsonl"))
    flicker = np.random.default_rng(1).uniform(0.9, 1.1, LONG)
    for count in (SHORT, LONG):
        frames = moving(count, step=0.4, gain=flicker)
        file = stored(folder / f"{count}.mp4", frames, quality="good")
        np.save(folder / f"{count}.npy", np.stack([frame[..., 0] for frame in frames]).astype(np.uint16))
        options = {"length": 10, "overlap": 3, "quality": "good"}
        run(context, VideoPayload("chunk", (str(file),), str(folder / f"pieces-{count}"), options))
    return context, folder


@pytest.mark.parametrize("tool", [*TOOLS, "beside"])
def test_memory_does_not_grow_with_the_length_of_a_clip(clips, tool):
    context, folder = clips
    use(context, folder, tool, SHORT)  # what is made once and kept
    peaks = {}
    for count in (SHORT, LONG):
        tracemalloc.start()
        use(context, folder, tool, count)
        peaks[count] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    more = (LONG - SHORT) * WIDTH * HEIGHT * 3
    assert peaks[LONG] - peaks[SHORT] < HELD * more


def use(context, folder, tool, count):
    out = folder / f"out-{tool}.mp4"
    out.unlink(missing_ok=True)
    clip = str(folder / f"{count}.mp4")
    if tool == "beside":
        return gallery_compare.run(context, GalleryComparePayload("g-0", clip, clip, str(out)))
    sources = {
        "depth": (clip, str(folder / f"{count}.npy")),
        "stitch": (str(folder / f"pieces-{count}"),),
    }
    verb = "controls" if tool == "depth" else tool
    written = None if tool == "coherence" else str(out)
    return run(context, VideoPayload(verb, sources.get(tool, (clip,)), written, TOOLS[tool]))
