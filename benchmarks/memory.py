"""Memory as computed beforehand beside memory as measured: trainings of all sizes, and engines.

    python benchmarks/memory.py [--training nano,tiny,small,medium,base] [--engines 1M,10M,95M,124M] [--folder PATH]
        [--vocabulary 257] [--out FILE]

Each is a process of its own. A training takes two steps that fill all of its memory, writes a checkpoint and loads it
again; an engine packs random weights of a size of `generation.py`, and another process maps what it packed, reads a
prompt of the whole context and writes in 8 slots. What Python and its libraries take is measured before and subtracted.
`--folder` keeps weights, as in `generation.py`.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from generation import ENVIRONMENT, config_of, model_of, save_weights
from llama_peer import peak_memory

if TYPE_CHECKING:
    from treadle.models.gpt.config import GPTConfig
    from treadle.models.streamed_arrays import StreamedArrays

SLOTS = 8
PRECISIONS = ("int8", "fp32")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--training", default="nano,tiny,small,medium,base")
    parser.add_argument("--engines", default="1M,10M,95M,124M")
    parser.add_argument("--vocabulary", type=int, default=257)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        what, name, how, folder = chosen.child
        print(json.dumps(training(name, how, int(folder)) if what == "training" else engine(name, how, folder)))
        return
    facts: dict[str, Any] = {"command": " ".join(sys.argv), "date": time.strftime("%Y-%m-%d"), "found": {}}
    for name in filter(None, chosen.training.split(",")):
        for optimizer in ("muon", "adamw"):
            tell(facts, f"training {name}, {optimizer}", child("training", name, optimizer, str(chosen.vocabulary)))
    with tempfile.TemporaryDirectory() as temporary:
        for size in filter(None, chosen.engines.split(",")):
            folder = (chosen.folder or Path(temporary)) / size
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / "model.safetensors").exists():
                save_weights(size, folder)
            for precision in PRECISIONS:
                child("engine", size, precision, str(folder))  # packs, and is not asked what that took
                tell(facts, f"engine {size}, {precision}", child("engine", size, precision, str(folder)))
    if chosen.out:
        chosen.out.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def tell(facts: dict[str, Any], name: str, found: dict[str, float]) -> None:
    facts["found"][name] = found
    print(f"{name:<24} " + "  ".join(f"{key} {value:,.0f} MB" for key, value in found.items()), flush=True)


def child(*arguments: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", *arguments]
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=ENVIRONMENT)
    found: dict[str, float] = json.loads(ran.stdout)
    return found


def training(size: str, optimizer: str, vocabulary: int) -> dict[str, float]:
    from one_run import compose_settings

    from treadle.data.batch import Batch
    from treadle.models.catalog import FAMILIES
    from treadle.models.gpt.config import GPTConfig
    from treadle.native.precision_choice import chosen_precision
    from treadle.training.checkpoints import CheckpointFolder, ModelRecord, Snapshot
    from treadle.training.learner import Update
    from treadle.training.learners import Network, open_learner
    from treadle.training.native_learner import NativePlan, required_memory

    settings = compose_settings(size, [*(["training=adamw"] if optimizer == "adamw" else []), "training.threads=2"])
    config, context = settings.family, settings.data.sequence_length
    if not isinstance(config, GPTConfig):
        raise TypeError(f"{size} is not a size of gpt")
    chosen_precision(config.width)  # loads the library
    needed = required_memory(config, vocabulary, context, NativePlan(threads=2))
    computed = (needed.arena - (0 if optimizer == "adamw" else needed.deferred)) / 1e6
    gc.collect()
    before = peak_memory()
    learner = open_learner(Network(FAMILIES.get("gpt"), config, vocabulary, context), settings.training)
    learner.load_weights(initial(config, vocabulary, context))
    windows = np.random.default_rng(1).integers(0, vocabulary, (2 * max(1, 1024 // context), context + 1), np.int32)
    batch = Batch(windows[:, :-1].copy(), windows[:, 1:].copy())
    for step in (1, 2):
        learner.step([batch], Update(step, 1.0, 1.0))
    steps = (peak_memory() - before) * 1.048576
    with tempfile.TemporaryDirectory() as name:
        record = ModelRecord("gpt", config.model_dump(), vocabulary, context)
        arrays = {"weights": learner.streamed_weights(), "optimizer": learner.streamed_optimizer_state()}
        rest: dict[str, Any] = {key: {} for key in ("data", "schedule", "plan", "metrics", "lineage", "callbacks")}
        written = CheckpointFolder(Path(name)).write(Snapshot(step=2, record=record, **arrays, **rest))
        learner.load_weights(written.weights())
        learner.load_optimizer_state(written.optimizer())
    return {"computed": computed, "steps": steps, "checkpoint": (peak_memory() - before) * 1.048576}


def initial(config: GPTConfig, vocabulary: int, context: int) -> StreamedArrays:
    """Weights that are made one at a time."""
    from treadle.models.gpt.weights import weight_shapes
    from treadle.models.streamed_arrays import StreamedArrays

    shapes, generator = weight_shapes(config, vocabulary, context), np.random.default_rng(1)
    return StreamedArrays(shapes, lambda name: generator.standard_normal(shapes[name], np.float32) * np.float32(0.02))


def engine(size: str, precision: str, folder: str) -> dict[str, float]:
    from generation import CONTEXT

    from treadle.generation.engine import Rows, open_engine
    from treadle.generation.native_engine import FORMATS
    from treadle.models.gpt.native_shape import native_shape
    from treadle.native.engine_binding import EnginePlan, memory_required, weight_bytes

    model = model_of(size, folder)
    shape = native_shape(config_of(size), model.vocabulary, CONTEXT)
    weights = weight_bytes(shape, FORMATS[precision]) / 1e6
    texts = memory_required(shape, EnginePlan(FORMATS[precision], 2, SLOTS)) / 1e6
    gc.collect()
    before = peak_memory()
    made = open_engine(model, "native", precision, SLOTS)
    for slot in range(SLOTS):
        made.step(Rows.of((token % model.vocabulary, slot, token, token == CONTEXT - 1) for token in range(CONTEXT)))
    made.step(Rows.of((1, slot, CONTEXT - 1, True) for slot in range(SLOTS)))
    return {"computed": weights + texts, "measured": (peak_memory() - before) * 1.048576}


if __name__ == "__main__":
    main()
