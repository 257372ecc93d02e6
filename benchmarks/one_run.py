"""One training in this process, as a program that waits for nobody: what the benchmarks compare and time.

    python benchmarks/one_run.py --size nano --steps 140 training.seed=2 family.activation=relu2

It takes the settings that `treadle train` would take, the same loader, learner and schedule, and leaves out the
workspace, checkpoints and samples. Lines of JSON on standard output: `{"event": "first_step"}`, `{"event": "trained"}`
as soon as the last step is done (a caller reads its clock there), and `{"event": "evaluated", ...}`.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from treadle.config.compose import Sources, compose
from treadle.data.bundled.texts import bundled_text
from treadle.data.document import Document
from treadle.data.loader import TokenLoader
from treadle.data.prepared import Prepared
from treadle.data.splits import sides
from treadle.data.tokenizers.tokenizer import train_tokenizer
from treadle.data.tokens import TokenStream, TokenStreams
from treadle.recipes.opened import network_of
from treadle.training.evaluation import evaluate
from treadle.training.learner import Update
from treadle.training.learners import open_learner
from treadle.training.schedules import Budget, Place, make_schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from treadle.config.settings import Settings

STARTED = time.perf_counter()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one training came to."""

    loss: float | None
    """Nats per target over the whole held-out part, in non-overlapping windows of the training's length."""
    averaged_loss: float | None
    """The same of the mean of late snapshots, if there are any."""
    bits_per_byte: float | None
    steps: int
    seconds: float
    """Of training alone."""
    step_ms: tuple[float, float]
    """Tenth percentile and median of one step, without the first three."""
    processor_ms: tuple[float, float]
    """The same in processor time, summed over threads: what can be trusted beside busy neighbours, at one thread."""
    training_loss: float
    """Mean over the last tenth of the steps."""
    parameters: int
    tokens_per_step: int
    rss_mb: float
    """Most memory that the process has had."""


def compose_settings(size: str | None, overrides: Sequence[str]) -> Settings:
    """Settings as the command line would compose them, with no workspace and no model around."""
    return compose(Sources(size=size, flags=tuple(overrides)))


def read_texts(source: str) -> list[str]:
    """The documents of a bundled text, of a file, or of a zip of text files, by name."""
    path = Path(source)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            names = sorted(name for name in archive.namelist() if name.endswith(".txt") and "README" not in name)
            return [archive.read(name).decode(errors="replace") for name in names]
    return [(path if path.suffix else bundled_text(source)).read_text(encoding="utf-8", errors="replace")]


def prepare(texts: Sequence[str], settings: Settings) -> Prepared:
    """Tokens of `texts`, one document each, in memory, held out by the product's own rule."""
    cut: list[tuple[str, str]] = []
    for text in texts:
        both = ["", ""]
        for piece, is_held_out in sides(Document.from_text(text, "text"), settings.data):
            both[is_held_out] += piece
        cut.append((both[0], both[1]))
    choice = settings.data.tokenizer
    tokenizer = train_tokenizer(choice, texts if choice == "char" else [trained for trained, _ in cut])
    sides_of_ids: tuple[list[Any], list[Any]] = ([], [])
    for both_texts in cut:
        for side, part in zip(sides_of_ids, both_texts, strict=True):
            if part:
                side.append(np.append(tokenizer.encode(part), np.array([tokenizer.boundary], np.uint32)))
    size = sum(len(text.encode()) for text in texts)
    train, held_out = (TokenStream(side, tokenizer.boundary) for side in sides_of_ids)
    streams = TokenStreams(train, held_out, tokenizer.boundary, tokenizer.byte_lengths, size, 0, 0)
    loader = TokenLoader(streams, settings.data.sequence_length, settings.training.seed)
    return Prepared(loader, tokenizer.vocabulary_size, settings.data.sequence_length, tokenizer.describe())


def train(
    settings: Settings,
    prepared: Prepared,
    budget: Budget,
    *,
    average: int = 0,
    evaluating: bool = True,
    tell: Callable[[str, float], None] | None = None,
) -> Outcome:
    """Train over `budget` and measure the whole held-out part; `average` > 0 measures a mean of so many snapshots, too.

    The snapshots are evenly spread over the last fifth of the steps (for a budget of steps only).
    """
    chosen = settings.training
    network = network_of(settings, prepared)
    learner = open_learner(network, chosen)
    learner.load_weights(
        network.family.initial_weights(network.config, network.vocabulary, network.context, chosen.seed)
    )
    place, losses, clocks = Place(), [], []
    schedule = make_schedule(budget, place, prepared.loader.examples_per_epoch, chosen.warmup_steps, chosen.cooldown)
    total = schedule.total_steps(place, chosen.examples_per_step)
    wanted = set(np.linspace(total * 0.8, total, average).astype(int).tolist()) if average and total else set()
    snapshots: list[dict[str, Any]] = []
    begin = time.perf_counter()
    clocks.append((begin, time.process_time()))
    while not schedule.done(place):
        batches = [
            prepared.loader.batch(place.examples + n * chosen.batch_size, chosen.batch_size)
            for n in range(chosen.accumulation)
        ]
        result = learner.step(batches, Update(place.step + 1, schedule.rate_scale(place), chosen.clip))
        now = time.perf_counter()
        if place.step == 0 and tell:
            tell("first_step", now - STARTED)
        losses.append(result.loss)
        clocks.append((now, time.process_time()))
        place = Place(place.step + 1, place.examples + chosen.examples_per_step, 0.0, now - begin)
        if place.step in wanted:
            snapshots.append(learner.weights())
    if tell:
        tell("trained", time.perf_counter() - STARTED)
    measured = evaluate(learner, prepared.loader, 16) if evaluating else None
    averaged = None
    if snapshots and evaluating:
        learner.load_weights(
            {name: np.mean([s[name] for s in snapshots], axis=0, dtype=np.float32) for name in snapshots[0]}
        )
        averaged = evaluate(learner, prepared.loader, 16)
    learner.close()
    lengths = np.diff(np.array(clocks), axis=0)[3 if place.step > 3 else 0 :] * 1000
    low, middle = np.percentile(lengths, [10, 50], axis=0).tolist()
    return Outcome(
        loss=None if measured is None else measured.loss,
        averaged_loss=None if averaged is None else averaged.loss,
        bits_per_byte=None if measured is None else measured.bits_per_byte,
        steps=place.step,
        seconds=place.seconds,
        step_ms=(low[0], middle[0]),
        processor_ms=(low[1], middle[1]),
        training_loss=float(np.mean(losses[-max(1, len(losses) // 10) :])),
        parameters=sum(int(np.prod(shape)) for shape in network.weight_shapes().values()),
        tokens_per_step=chosen.examples_per_step * settings.data.sequence_length,
        rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", default="shakespeare", help="bundled text, or a text file or zip of them")
    parser.add_argument("--size", default="nano")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seconds", type=float, help="until so long after the start of the process")
    parser.add_argument("--no-evaluation", action="store_true")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    chosen = parser.parse_args()
    settings = compose_settings(chosen.size, chosen.overrides)
    prepared = prepare(read_texts(chosen.text), settings)
    if chosen.seconds:
        budget = Budget("minutes", (chosen.seconds - (time.perf_counter() - STARTED)) / 60)
    else:
        budget = Budget("steps", chosen.steps or 100)

    def tell(event: str, seconds: float) -> None:
        print(json.dumps({"event": event, "seconds": seconds, "processor": time.process_time()}), flush=True)

    outcome = train(settings, prepared, budget, evaluating=not chosen.no_evaluation, tell=tell)
    print(json.dumps({"event": "evaluated", **asdict(outcome)}), flush=True)


if __name__ == "__main__":
    main()
