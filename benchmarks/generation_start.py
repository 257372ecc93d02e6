"""From the start of a command to its first token: `treadle sample` three ways, and llama.cpp.

    python benchmarks/generation_start.py [--sizes 1M,10M,95M] [--llama-python PATH] [--times 5] [--out FILE]

`first` starts the workspace's engine process, `resident` finds it with its engine open, `alone` opens an engine in the
command's own process, as where no other can be had; `llama` is llama.cpp from a bare script, without a workspace. They
take turns; the least and the median of their times are shown. All files are in the page cache. Models have bytes for
tokens and were trained for one step; llama.cpp runs the same shapes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from generation import CONTEXT, ENVIRONMENT, SIZES, already, save_weights

from treadle import Workspace

ALONE = """
import sys
from pathlib import Path
from treadle.operations.generation import SamplePayload
from treadle.recipes.sample import stream
from treadle.store.workspace import WorkspaceFolder
settings = ("generation.tokens=1",)
for event in stream(WorkspaceFolder(Path(sys.argv[1])), SamplePayload(sys.argv[2], "", "latest", "error", settings)):
    print(event.type, flush=True)
"""
IDLE_SECONDS = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="1M,10M,95M")
    parser.add_argument("--llama-python")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    results = already(chosen.out)
    results["command"] = " ".join(["python", "benchmarks/generation_start.py", *sys.argv[1:]])
    for size in chosen.sizes.split(","):
        with tempfile.TemporaryDirectory() as folder:
            results["sizes"][size] = measure(size, Path(folder), chosen.llama_python, chosen.times)
        shown = "  ".join(
            f"{way} {one['least']:.3f} s ({one['median']:.3f})" for way, one in results["sizes"][size].items()
        )
        print(f"{size:>4} {shown}", flush=True)
        if chosen.out:
            chosen.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def measure(size: str, folder: Path, llama: str | None, times: int) -> dict[str, Any]:
    workspace, model = trained(size, folder)
    sample = [str(Path(sys.executable).parent / "treadle"), "sample", "m", "--workspace", str(workspace)]
    sample += ["--tokens", "1", "--checkpoint", "latest", "--logit-bias", "a=1000"]  # a letter, which is shown at once
    commands = {
        "first": sample,
        "resident": sample,
        "alone": [sys.executable, "-c", ALONE, str(workspace), model],
    }
    if llama:
        save_weights(size, folder)
        script = str(Path(__file__).with_name("llama_peer.py"))
        commands["llama"] = [llama, script, "cold", str(folder), "q8_0"]
        first_token(commands["llama"])  # writes its file
    found: dict[str, list[float]] = {way: [] for way in commands}
    for _ in range(times):
        for way, command in commands.items():
            if way == "first":
                ended(workspace)
            found[way].append(first_token(command))
    ended(workspace)
    return {
        way: {"least": round(min(all_), 3), "median": round(float(np.median(all_)), 3)} for way, all_ in found.items()
    }


def trained(size: str, folder: Path) -> tuple[Path, str]:
    """A workspace with a model of this size after one step, and the model's id."""
    shape = SIZES[size]
    workspace = Workspace.create(folder / "lab")
    settings = [f"family.layers={shape.layers}", f"family.width={shape.width}", f"family.heads={shape.heads}",
                f"data.sequence_length={CONTEXT}", "training.batch_size=1", "training.accumulation=1",
                "training.evaluate_every=0", "training.sample_every=0"]  # fmt: skip
    workspace.new("m", settings, tokenizer="bytes")
    text = folder / "text.txt"
    text.write_text("It was a bright cold day in April. " * 200, encoding="utf-8")
    workspace.feed("m", [text])
    workspace.train("m", steps=1)
    return workspace.root, str(workspace.show("m").id)


def ended(workspace: Path) -> None:
    """Wait until the engine process has left."""
    while (workspace / ".worker" / "engine.sock").exists():
        time.sleep(0.05)


def first_token(command: list[str]) -> float:
    environment = {**ENVIRONMENT, "TREADLE_ENGINE_IDLE_SECONDS": str(IDLE_SECONDS)}
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as child:
        told = os.read(child.stdout.fileno(), 1) if child.stdout is not None else b""
        seconds = time.perf_counter() - begin
    if not told:
        raise RuntimeError(f"{' '.join(command)} wrote nothing")
    return seconds


if __name__ == "__main__":
    main()
