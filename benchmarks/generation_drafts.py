"""What a draft model is worth: the same texts with guesses and without, in turns, and how many guesses were right.

    python benchmarks/generation_drafts.py WORKSPACE MODEL [--draft FOLDER] [--texts 1,4,8] [--tokens 200]
        [--repeat 5] [--out FILE]

The draft model is the one beside MODEL (`treadle train MODEL --draft auto`), or the newest checkpoint of `--draft`.
Each text begins at another place of the bundled Shakespeare. Speeds are those of the fastest of the repeats, which take
turns, so that a busy neighbour bothers all alike; `measured` leaves the number of guesses to the engine. Ends with an
error if a text differs from the one without guesses.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from treadle.data.bundled.texts import bundled_text
from treadle.data.tokenizers.tokenizer import tokenizer_from_description
from treadle.generation.config import GenerationSettings
from treadle.generation.engine import WantedText
from treadle.generation.native_engine import NativeEngine, open_native
from treadle.recipes.opened_engine import engine_model
from treadle.store.workspace import WorkspaceFolder
from treadle.training.checkpoints import Checkpoint, CheckpointFolder

PROMPT_CHARACTERS = 120
DRAWN = {
    "greedy": {"temperature": 0.0},
    "temperature 0.8": {"temperature": 0.8},
    "temperature 0.8, top_p 0.9": {"temperature": 0.8, "top_p": 0.9},
}
MEASURED = -1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workspace", type=Path)
    parser.add_argument("model")
    parser.add_argument("--draft", type=Path)
    parser.add_argument("--texts", default="1,4,8")
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    folder = WorkspaceFolder(chosen.workspace).models / chosen.model
    checkpoint = CheckpointFolder(folder / "checkpoints").find("best")
    guesser = CheckpointFolder(chosen.draft or folder / "draft").find("latest")
    rows = []
    for texts in map(int, chosen.texts.split(",")):
        engines = {ahead: opened(checkpoint, guesser, ahead, texts) for ahead in (0, 1, 3, 7, MEASURED)}
        for name, drawn in DRAWN.items():
            rows.append({"drawn": name, "texts": texts, **compared(engines, checkpoint, drawn, chosen)})
            print(json.dumps(rows[-1]), flush=True)
        for engine in engines.values():
            engine.close()
    found = {**described(), "model": facts(checkpoint), "draft": facts(guesser), "rows": rows}
    if chosen.out:
        chosen.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def opened(checkpoint: Checkpoint, guesser: Checkpoint, ahead: int, texts: int) -> NativeEngine:
    engine = open_native(engine_model(checkpoint), "auto", texts)
    if ahead:
        engine.use_draft(open_native(engine_model(guesser), "auto", texts), ahead)
    return engine


def compared(
    engines: dict[int, NativeEngine], checkpoint: Checkpoint, drawn: dict[str, float], chosen: argparse.Namespace
) -> dict[str, Any]:
    best: dict[int, float] = {}
    right: dict[int, tuple[int, int]] = {}
    expected: list[list[int]] | None = None
    for _ in range(chosen.repeat):
        for ahead, engine in engines.items():
            before = engine.guesses()
            ids, seconds = written(engine, checkpoint, drawn, chosen.tokens)
            right[ahead] = (engine.guesses()[0] - before[0], engine.guesses()[1] - before[1])
            expected = ids if expected is None else expected
            if ids != expected:
                sys.exit(f"a text with {ahead} guesses differs from the one without")
            best[ahead] = max(best.get(ahead, 0.0), sum(map(len, ids)) / seconds)
    return {
        "tokens_per_second": {label(ahead): round(speed, 1) for ahead, speed in best.items()},
        "times": {label(ahead): round(speed / best[0], 2) for ahead, speed in best.items() if ahead},
        "right": {label(ahead): round(taken / max(1, all_), 3) for ahead, (all_, taken) in right.items() if ahead},
    }


def label(ahead: int) -> str:
    return "measured" if ahead == MEASURED else str(ahead)


def written(
    engine: NativeEngine, checkpoint: Checkpoint, drawn: dict[str, float], tokens: int
) -> tuple[list[list[int]], float]:
    """The tokens of all slots, and the seconds since their prompts were read."""
    tokenizer = tokenizer_from_description(checkpoint.record.tokenizer)
    text = bundled_text("shakespeare").read_text(encoding="utf-8")
    settings = GenerationSettings(tokens=tokens, **drawn)
    for slot in range(engine.slots):
        prompt = tokenizer.encode(text[5000 + 977 * slot :][:PROMPT_CHARACTERS], "skip").tolist()
        engine.begin(slot, WantedText(prompt, settings, slot, tokenizer.boundary, {tokenizer.boundary: -1e9}))
    ids: list[list[int]] = [[] for _ in range(engine.slots)]
    start, over = 0.0, 0
    while over < engine.slots:
        for burst in engine.write(0.02 if start else 0.0):
            ids[burst.slot] += burst.tokens
            if burst.ending:
                engine.forget(burst.slot)
                over += 1
        if not start and all(ids):
            start = time.perf_counter()
    return ids, time.perf_counter() - start


def facts(checkpoint: Checkpoint) -> dict[str, Any]:
    config, record = checkpoint.record.config, checkpoint.record
    return {
        "layers": config["layers"],
        "width": config["width"],
        "vocabulary": record.vocabulary,
        "step": checkpoint.step,
        "held_out_loss": checkpoint.metrics.get("held_out_loss"),
    }


def described() -> dict[str, Any]:
    git = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text(encoding="utf-8").splitlines() if cpu.exists() else []
    machine = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    command = " ".join(["python", "benchmarks/generation_drafts.py", *sys.argv[1:]])
    return {
        "command": command,
        "date": time.strftime("%Y-%m-%d"),
        "commit": git.stdout.strip(),
        "machine": machine or platform.processor(),
    }


if __name__ == "__main__":
    main()
