"""How fast texts are written while a model trains beside: the share of the speed that the engine has alone.

    python benchmarks/generation_beside.py [--sizes 1M,10M] [--threads 1,2] [--nice 0,5] [--seconds 4]

The neighbour is our native trainer, a model of the size `10M`, on so many threads, so much nicer than the engine (jobs
are; see `jobs/child.py`). Alone and beside take turns.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from generation import CONTEXT, SIZES, config_of, decode, open_steps, save_weights

from treadle.models.gpt.native_shape import native_shape
from treadle.native.binding import Plan, Precision, Trainer

TURNS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="1M,10M")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--nice", default="0,5")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--train", type=int, nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.train:
        train(*chosen.train)
    for size in chosen.sizes.split(","):
        for threads in chosen.threads.split(","):
            for nice in chosen.nice.split(","):
                beside(size, threads, nice, chosen.seconds / TURNS)


def beside(size: str, threads: str, nice: str, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        save_weights(size, Path(folder))
        steps = open_steps("native:int8", size, folder, 1)
        trainer = subprocess.Popen([sys.executable, __file__, "--train", threads, nice], stdout=subprocess.PIPE)
        try:
            if trainer.stdout is not None:
                trainer.stdout.readline()
            found: dict[bool, list[dict[str, float]]] = {True: [], False: []}
            for _ in range(TURNS):
                for busy in (False, True):
                    os.kill(trainer.pid, signal.SIGCONT if busy else signal.SIGSTOP)
                    found[busy].append(decode(steps, 1, seconds))
        finally:
            trainer.kill()
            trainer.wait()
    for what in ("fast", "median"):
        alone, with_it = (float(np.median([one[what] for one in found[busy]])) for busy in (False, True))
        print(
            f"{size:>4} beside {threads} training threads at nice {nice}, {what}: "
            f"{with_it:,.0f} of {alone:,.0f} tok/s, {with_it / alone:.0%}",
            flush=True,
        )


def train(threads: int, nice: int) -> None:
    os.nice(nice)
    shape = native_shape(config_of("10M"), SIZES["10M"].vocabulary, CONTEXT)
    trainer = Trainer(shape, Plan(Precision.BFLOAT16, threads, threads, CONTEXT))
    tokens = np.random.default_rng(1).integers(0, SIZES["10M"].vocabulary, (4, CONTEXT), dtype=np.int32)
    print("training", flush=True)
    while True:
        trainer.backward(tokens, tokens, loss_scale=1.0, first=True)


if __name__ == "__main__":
    main()
