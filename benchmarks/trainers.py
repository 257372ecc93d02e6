"""Trainers and the machine's peak as processes that take turns: only one of them runs at a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from statistics import median
from typing import IO, Any, cast

import numpy as np

_HERE = Path(__file__).parent


class Peak:
    """Operations per second that the cores reach out of registers, measured between other things."""

    def __init__(self, folder: Path) -> None:
        """Compile the loop for this machine into `folder`."""
        self._program = folder / "peak"
        compiler = os.environ.get("CXX", "g++")
        options = ["-O3", "-std=c++17", "-march=native", "-pthread"]
        subprocess.run([compiler, *options, "-o", self._program, _HERE / "peak.cpp"], check=True)
        self._found: list[dict[str, float]] = []

    def measure(self, seconds: float) -> None:
        """Measure for so long."""
        ran = subprocess.run([self._program, str(seconds)], capture_output=True, text=True, check=True)
        self._found.append(json.loads(ran.stdout))

    def take(self) -> dict[str, float]:
        """The ninth tenth of each rate in GF/s since the last call: what corresponds to the p10 of a time."""
        found, self._found = self._found, []
        return {key: float(np.percentile([one[key] for one in found], 90)) for key in found[0]}


class Trainer:
    """A child that takes steps when told to, and stands still in between."""

    def __init__(
        self, python: str, shape: str, kind: tuple[str, str, str], environment: dict[str, str], clock: str
    ) -> None:
        """Start it and read what it says about itself; `clock` is `ms` or `processor_ms`."""
        trainer, precision, optimizer = kind
        self._clock = clock
        command = [python, str(_HERE / "step_speed.py"), trainer, shape]
        command += ["--precision", precision, "--optimizer", optimizer]
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self._questions, self._answers = cast("IO[str]", self._child.stdin), cast("IO[str]", self._child.stdout)
        self._facts = self._answer()
        self.times: list[float] = []
        self._memory = 0.0
        self._stop()

    def steps(self, count: int) -> None:
        """Let it take `count` steps, timed by itself."""
        self._child.send_signal(signal.SIGCONT)
        self._questions.write(f"{count}\n")
        self._questions.flush()
        answer = self._answer()
        self.times += answer[self._clock]
        self._memory = answer["rss_mb"]
        self._stop()

    def result(self, peak: float) -> dict[str, Any]:
        """Its speed, with its share of `peak` GF/s."""
        fast = float(np.percentile(self.times, 10))
        return {
            **self._facts,
            "steps": len(self.times),
            "p10_ms": fast,
            "median_ms": median(self.times),
            "tokens_per_second": self._facts["tokens"] / fast * 1000,
            "share_of_peak": self._facts["operations"] / fast * 1000 / (peak * 1e9),
            "rss_mb": self._memory,
        }

    def close(self) -> None:
        """End it."""
        self._child.kill()
        self._child.communicate()

    def _stop(self) -> None:
        # Idle threads of a trainer may spin: none may take a core from the one that is measured.
        self._child.send_signal(signal.SIGSTOP)

    def _answer(self) -> Any:  # noqa: ANN401 - JSON
        line = self._answers.readline()
        if not line:
            raise SystemExit(f"A trainer ended: {self._child.args}")
        return json.loads(line)
