"""What each precision costs a trained model: loss and KL divergence to fp32, ours beside llama.cpp's.

    python benchmarks/generation_quality.py WORKSPACE MODEL --text FILE [--llama-python PATH] [--out FILE]

The text should be one that the model never learned from. Divergences are means over all positions of all windows, in
nats, of the exact distribution (our fp32 engine; for llama.cpp its own f32) against the rounded one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from generation import save_shape
from safetensors.numpy import save_file

from treadle.data.tokenizers.tokenizer import tokenizer_from_description
from treadle.generation.engine import Rows, open_engine
from treadle.recipes.opened_engine import engine_model, find_sampling
from treadle.store.workspace import find_workspace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from treadle.generation.engine import EngineModel

OURS = ("bf16", "int8", "int4")
THEIRS = ("bf16", "q8_0", "q4_0")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workspace", type=Path)
    parser.add_argument("model")
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--llama-python")
    parser.add_argument("--windows", type=int, default=16)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    found = find_sampling(find_workspace(chosen.workspace), chosen.model, "best", ())
    model = engine_model(found.checkpoint)
    tokenizer = tokenizer_from_description(found.checkpoint.record.tokenizer)
    ids = np.asarray(tokenizer.encode(chosen.text.read_text(encoding="utf-8"), "skip"), np.int32)
    count = min(chosen.windows, (ids.size - 1) // model.context)
    windows = ids[: count * model.context].reshape(count, model.context)
    targets = ids[1 : count * model.context + 1].reshape(windows.shape)
    exact = ours(model, "fp32", windows)
    facts: dict[str, Any] = {
        "command": " ".join(sys.argv),
        "date": time.strftime("%Y-%m-%d"),
        "positions": windows.size,
    }
    facts["native:fp32"] = report("native:fp32", exact, exact, targets)
    for precision in OURS:
        facts[f"native:{precision}"] = report(f"native:{precision}", exact, ours(model, precision, windows), targets)
    if chosen.llama_python:
        with tempfile.TemporaryDirectory() as folder:
            save_file(
                {name: np.ascontiguousarray(model.weights[name]) for name in model.weights},
                f"{folder}/model.safetensors",
            )
            save_shape(model.config, model.vocabulary, model.context, Path(folder))
            exact = theirs(chosen.llama_python, Path(folder), "f32", windows)
            facts["llama:f32"] = report("llama:f32", exact, exact, targets)
            for format_ in THEIRS:
                logits = theirs(chosen.llama_python, Path(folder), format_, windows)
                facts[f"llama:{format_}"] = report(f"llama:{format_}", exact, logits, targets)
    if chosen.out:
        chosen.out.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def ours(model: EngineModel, precision: str, windows: NDArray[np.int32]) -> NDArray[np.float32]:
    engine = open_engine(model, "native", precision, 1)
    rows = [Rows.of((token, 0, place, True) for place, token in enumerate(window.tolist())) for window in windows]
    logits = np.array([engine.step(one) for one in rows])
    engine.close()
    return logits


def theirs(python: str, folder: Path, format_: str, windows: NDArray[np.int32]) -> NDArray[np.float32]:
    np.save(folder / "ids.npy", windows)
    script, answer = Path(__file__).with_name("llama_peer.py"), folder / "logits.npy"
    command = [python, script, "logits", folder, format_, folder / "ids.npy", answer]
    subprocess.run([str(one) for one in command], check=True)
    logits: NDArray[np.float32] = np.load(answer)
    return logits


def report(
    name: str, exact: NDArray[np.float32], logits: NDArray[np.float32], targets: NDArray[np.int32]
) -> dict[str, float]:
    p, q = log_softmax(exact), log_softmax(logits)
    divergence = float((np.exp(p) * (p - q)).sum(-1).mean())
    loss = float(-np.take_along_axis(q, targets[..., None], -1).mean())
    print(f"{name:<12} loss {loss:.5f}  KL {divergence:.3e}", flush=True)
    return {"loss": loss, "kl": divergence}


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    x = logits.astype(np.float64)
    x -= x.max(-1, keepdims=True)
    exact: NDArray[np.float64] = x - np.log(np.exp(x).sum(-1, keepdims=True))
    return exact


if __name__ == "__main__":
    main()
