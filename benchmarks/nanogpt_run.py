"""Run a checkout of nanoGPT on our text, and measure what it trained on the whole validation part.

The checkout stays as it is: its programs are copied to a temporary folder, where the seed is set. Nothing of it is
kept in this repository. The last part runs as a child under the Python that has torch:

    python benchmarks/nanogpt_run.py FOLDER     (prints the loss of FOLDER/out/ckpt.pt)
"""

from __future__ import annotations

import pickle
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

PUBLISHED = {
    "device": "cpu",
    "compile": False,
    "eval_iters": 20,
    "log_interval": 1,
    "block_size": 64,
    "batch_size": 12,
    "n_layer": 4,
    "n_head": 4,
    "n_embd": 128,
    "max_iters": 2000,
    "lr_decay_iters": 2000,
    "dropout": 0.0,
}
"""The command that nanoGPT's README gives for a CPU."""


@dataclass(frozen=True, slots=True)
class NanoGPT:
    """A checkout, ready to be run."""

    checkout: Path
    python: str
    folder: Path
    """Where runs happen; the caller removes it."""
    environment: dict[str, str]

    def prepare(self, text: str) -> None:
        """Copy the programs and write its data files: the first nine tenths train, the rest validate."""
        for name in ("train.py", "model.py", "configurator.py"):
            shutil.copy(self.checkout / name, self.folder / name)
        shutil.copytree(self.checkout / "config", self.folder / "config")
        data = self.folder / "data" / "shakespeare_char"
        data.mkdir(parents=True)
        characters = sorted(set(text))
        code = {character: number for number, character in enumerate(characters)}
        ids = np.array([code[character] for character in text], np.uint16)
        cut = int(len(ids) * 0.9)
        ids[:cut].tofile(data / "train.bin")
        ids[cut:].tofile(data / "val.bin")
        meta = {"vocab_size": len(characters), "itos": dict(enumerate(characters)), "stoi": code}
        (data / "meta.pkl").write_bytes(pickle.dumps(meta))

    def run(self, seed: int, **changes: object) -> dict[str, Any]:
        """Train; gives `wall` and `processor` seconds of the process, its whole-validation `loss`, and `step_ms`."""
        program = (self.folder / "train.py").read_text()
        (self.folder / "train.py").write_text(re.sub(r"manual_seed\(\d+", f"manual_seed({1337 + seed}", program))
        options = {**PUBLISHED, "out_dir": "out", "always_save_checkpoint": True, **changes}
        command = [self.python, "train.py", "config/train_shakespeare_char.py"]
        command += [f"--{name}={value}" for name, value in options.items()]
        begin, processor_begin = time.perf_counter(), _children_seconds()
        ran = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=True, env=self.environment)
        seconds, processor = time.perf_counter() - begin, _children_seconds() - processor_begin
        steps = [float(found) for found in re.findall(r"time ([\d.]+)ms", ran.stdout)]
        measured = subprocess.run(
            [self.python, str(Path(__file__).resolve()), str(self.folder)], capture_output=True, text=True, check=True
        )
        return {
            "seed": seed,
            "wall": seconds,
            "processor": processor,
            "loss": float(measured.stdout.split()[-1]),
            "step_ms": statistics.median(steps[5:]),
        }


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def whole_validation_loss(folder: Path) -> float:
    """Mean over all characters of the validation part, in non-overlapping windows of the model's length."""
    sys.path.insert(0, str(folder))
    import torch
    from model import GPT, GPTConfig

    checkpoint = torch.load(folder / "out" / "ckpt.pt", map_location="cpu", weights_only=True)
    model = GPT(GPTConfig(**checkpoint["model_args"]))
    model.load_state_dict(checkpoint["model"])
    model.eval()
    length = checkpoint["model_args"]["block_size"]
    ids = np.fromfile(folder / "data" / "shakespeare_char" / "val.bin", np.uint16).astype(np.int64)
    windows = (len(ids) - 1) // length
    inputs = torch.from_numpy(ids[: windows * length].reshape(windows, length))  # (windows, T)
    targets = torch.from_numpy(ids[1 : windows * length + 1].reshape(windows, length))
    total = 0.0
    with torch.no_grad():
        for first in range(0, windows, 64):
            _, loss = model(inputs[first : first + 64], targets[first : first + 64])
            total += loss.item() * targets[first : first + 64].numel()
    return total / (windows * length)


if __name__ == "__main__":
    print(whole_validation_loss(Path(sys.argv[1])))
