"""How fast we train on this machine, beside nanoGPT, transformers and our own torch learner, in one run.

    python benchmarks/training.py --nanogpt PATH [--quick] [--seeds 3] [--sections wall,best,speed,first]
                                  [--shapes 0.8M,10M] [--peer-python PYTHON] [--one-thread] [--minutes 10]

Sections: `wall` seconds from process start to nanoGPT's published loss; `best` loss in 60 and 180 seconds; `speed`
tokens per second, share of the machine's peak and memory at four sizes, all trainers taking turns; `first` seconds
from the command to the first step. With `--one-thread` all trainers have one thread and seconds are those of the
processor: what is left to measure beside busy neighbours. With `--minutes` no further run begins after so long, and
the same command goes on where it stopped: finished runs of the day are kept in `build/`. Results go to
`benchmarks/results/training-DATE.json`, a table to standard output.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast

from finished_runs import FinishedRuns, OutOfTimeError
from nanogpt_run import NanoGPT
from trainers import Peak, Trainer

from treadle.data.bundled.texts import bundled_text

HERE = Path(__file__).parent
PUBLISHED_LOSS = 1.898
"""Nats per character over the whole validation part: what nanoGPT's CPU recipe reaches in its 2,000 steps."""

_SAME_SHAPE = [
    "data.tokenizer=char",
    "data.sequence_length=64",
    "family.layers=4",
    "family.width=128",
    "family.heads=4",
    "training.batch_size=24",
]
_FREEST = [
    "family.activation=relu2",
    "family.norm_gain=false",
    "family.embedding_norm=true",
    "family.logit_soft_cap=15",
]
_RECIPES = {
    "shakespeare-180s": ["--size", "small", "experiment=shakespeare-180s"],
    "tiny-192": [
        *("--size", "tiny", "data.tokenizer=char", "family.layers=6", "family.width=192", "family.heads=3"),
    ],
}
"""What `--best` may name beside the sizes."""
_LENGTHS = (100, 120, 140, 160, 180, 200, 240, 300)
_SPEED_TRAINERS = {
    "native": ("native", "auto", "adamw"),
    "native, Muon": ("native", "auto", "muon"),
    "native fp32": ("native", "fp32", "adamw"),
    "native bf16": ("native", "bf16", "adamw"),
    "our torch learner": ("torch", "auto", "adamw"),
    "transformers fp32": ("transformers", "fp32", "adamw"),
    "transformers bf16": ("transformers", "bf16", "adamw"),
}
_SPEED_ROUNDS = {"0.8M": (6, 12), "10M": (4, 3), "25M": (4, 2), "95M": (3, 1)}
"""Rounds, and steps of each trainer in one round."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="about a minute: few steps, lengths projected")
    parser.add_argument("--nanogpt", type=Path, help="a checkout of nanoGPT")
    parser.add_argument("--peer-python", default=sys.executable, help="a Python with torch and transformers")
    parser.add_argument("--one-thread", action="store_true", help="one thread each, processor time instead of wall")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--shapes", default=",".join(_SPEED_ROUNDS), help="of the section `speed`")
    parser.add_argument("--trainers", help="of the section `speed`, between semicolons")
    parser.add_argument("--rounds", type=int, help="turns of each trainer in the section `speed`")
    parser.add_argument("--peer-seeds", type=int, help="seeds of nanoGPT, if fewer")
    parser.add_argument("--sections", default="wall,best,speed,first")
    parser.add_argument(
        "--best",
        default="60:tiny,180:tiny,180:shakespeare-180s",
        help="seconds and recipe of the section `best`; the last recipe is for processors with a fast bf16 dot",
    )
    parser.add_argument("--minutes", type=float, help="begin no further run after so long; call again to go on")
    chosen = parser.parse_args()
    sections = {"wall": wall, "best": best, "speed": speed, "first": first_step}
    if chosen.one_thread:
        os.environ["OMP_NUM_THREADS"] = "1"
    kind = ("quick-" if chosen.quick else "") + ("one-thread-" if chosen.one_thread else "")
    results: dict[str, Any] = {"about": about(), "kind": kind}
    day = results["about"]["date"][:10]
    chosen.finished = FinishedRuns(HERE.parent / "build" / f"training-runs-{kind}{day}.jsonl", chosen.minutes)
    for name in chosen.sections.split(","):
        try:
            results[name] = sections[name](chosen)
        except OutOfTimeError:
            raise SystemExit(f"The time is up in section {name}. The same command goes on from here.") from None
        write(results)
        print(table(name, results[name]), flush=True)


def _without_place(word: str) -> str:
    """A path without its folders, which mean nothing on another machine."""
    return Path(word).name if Path(word).is_absolute() else word


def about() -> dict[str, Any]:
    """Where and when these figures were measured."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True, check=False
    )
    processors = Path("/proc/cpuinfo")
    models = [line.split(":")[1].strip() for line in processors.read_text().splitlines() if "model name" in line]
    return {
        "command": shlex.join(["python", "benchmarks/training.py", *map(_without_place, sys.argv[1:])]),
        "commit": commit.stdout.strip(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": models[0] if models else platform.processor(),
        "processors": os.cpu_count(),
        "load_at_start": os.getloadavg()[0],
        "python": platform.python_version(),
    }


def write(results: dict[str, Any]) -> None:
    """Keep what is known so far, one file per day; sections and shapes of earlier runs of the day stay."""
    day = results["about"]["date"][:10]
    path = HERE / "results" / f"training-{results['kind']}{day}.json"
    path.parent.mkdir(exist_ok=True)
    earlier = json.loads(path.read_text()) if path.exists() else {}
    parts = {name: {**part, "about": results["about"]} for name, part in results.items() if isinstance(part, dict)}
    parts.pop("about")
    parts = {name: earlier.get(name, {}) | part for name, part in parts.items()}
    path.write_text(json.dumps(earlier | parts, indent=1) + "\n")


# -- seconds to nanoGPT's loss ----------------------------------------------------------------------------------------


def wall(chosen: argparse.Namespace) -> dict[str, Any]:
    """Wall seconds from process start to the published loss, the worst of the seeds counting."""
    seeds = range(1, 2 if chosen.quick else chosen.seeds + 1)
    lengths = (140,) if chosen.quick else _LENGTHS
    clock = "processor" if chosen.one_thread else "wall"
    recipe = ["--size", "nano", *_SAME_SHAPE, *_threads()]
    default = shortest(chosen.finished, recipe, seeds, lengths, clock)
    found = {
        "native, default shape": default,
        "native, freest shape": shortest(chosen.finished, [*recipe, *_FREEST], seeds, lengths, clock),
    }
    if not chosen.quick:
        # The same arithmetic step for step, so no shorter length is tried than the native learner needed.
        enough = tuple(steps for steps in lengths if steps >= default["steps"])
        found["our torch learner"] = shortest(
            chosen.finished, [*recipe, "training.learner=torch"], seeds, enough, clock
        )
    if chosen.nanogpt:
        with tempfile.TemporaryDirectory() as folder:
            peer = NanoGPT(chosen.nanogpt, chosen.peer_python, Path(folder), dict(os.environ))
            peer.prepare(bundled_text("shakespeare").read_text())
            if chosen.quick:
                found |= projected_nanogpt(peer)
            else:
                found |= nanogpt_wall(chosen.finished, peer, seeds[: chosen.peer_seeds], clock)
    return found


def _threads() -> list[str]:
    return [f"training.threads={os.environ.get('OMP_NUM_THREADS', '0')}"]


def shortest(
    finished: FinishedRuns, arguments: list[str], seeds: range, lengths: tuple[int, ...], clock: str
) -> dict[str, Any]:
    """The first length at which every seed reaches the loss; seconds are those of the slowest seed."""
    runs: list[dict[str, Any]] = []
    for steps in lengths:
        runs = []
        for seed in seeds:
            wanted = [*arguments, f"training.seed={seed}"]
            run = finished.of([wanted, steps], lambda wanted=wanted, steps=steps: one_run(wanted, steps=steps))
            runs.append({"seed": seed, "steps": steps, **run})
            if runs[-1]["loss"] > PUBLISHED_LOSS:
                break
        else:
            break
    say("ours", runs)
    return {
        "reached": all(run["loss"] <= PUBLISHED_LOSS for run in runs),
        "steps": runs[-1]["steps"],
        "seconds": max(run[clock] for run in runs),
        "worst_loss": max(run["loss"] for run in runs),
        "runs": runs,
    }


def say(name: str, runs: list[dict[str, Any]]) -> None:
    """Show what is known while the rest is still being measured."""
    print(f"{name}: {json.dumps(runs)}", file=sys.stderr, flush=True)


def one_run(arguments: list[str], *, steps: int | None = None, seconds: float | None = None) -> dict[str, Any]:
    """Train in a child; `wall` is from its start to the end of its last step, `loss` is measured after that."""
    length = ["--steps", str(steps)] if steps else ["--seconds", str(seconds)]
    begin = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, str(HERE / "one_run.py"), *length, *arguments], stdout=subprocess.PIPE, text=True
    )
    result: dict[str, Any] = {}
    for line in cast("IO[str]", child.stdout):
        event = json.loads(line)
        if event["event"] == "trained":
            result["wall"] = time.perf_counter() - begin
            result["processor"] = event["processor"]
        elif event["event"] == "first_step":
            result["first_step"] = time.perf_counter() - begin
        else:
            result |= {key: event[key] for key in ("loss", "bits_per_byte", "steps", "step_ms", "parameters", "rss_mb")}
    if child.wait():
        raise SystemExit(f"{shlex.join(child.args)} failed")  # type: ignore[arg-type]  # a list of str
    return result


def nanogpt_wall(finished: FinishedRuns, peer: NanoGPT, seeds: range, clock: str) -> dict[str, Any]:
    """As published, and with the best of three rates at the shortest length that still reaches the loss."""

    def run(seed: int, **settings: object) -> dict[str, Any]:
        return finished.of(["nanoGPT", seed, settings], lambda: peer.run(seed, **settings))

    runs = [run(seed) for seed in seeds]
    published = {
        "steps": 2000,
        "seconds": max(one[clock] for one in runs),
        "worst_loss": max(one["loss"] for one in runs),
        "runs": runs,
    }
    say("nanoGPT as published", runs)
    tried = [{"rate": rate, "steps": 800, **run(1, **_tuned(rate, 800))} for rate in (2e-3, 4e-3, 8e-3)]
    rate = min(tried, key=lambda one: one["loss"])["rate"]
    tuned: dict[str, Any] = {}
    for steps in (600, 700, 800, 900, 1000, 1200, 1400, 1700, 2000):
        runs = []
        for seed in seeds:
            runs.append({"rate": rate, "steps": steps, **run(seed, **_tuned(rate, steps))})
            if runs[-1]["loss"] > PUBLISHED_LOSS:
                break
        tried += runs
        say("nanoGPT tuned", runs)
        worst = max(one["loss"] for one in runs)
        tuned = {"rate": rate, "steps": steps, "seconds": max(one[clock] for one in runs), "worst_loss": worst}
        if worst <= PUBLISHED_LOSS:
            break
    return {"nanoGPT as published": published, "nanoGPT tuned": {**tuned, "tried": tried}}


def _tuned(rate: float, steps: int) -> dict[str, object]:
    # Its own evaluations are left out but for the last one, after which it saves.
    return {
        "learning_rate": rate,
        "min_lr": rate / 10,
        "max_iters": steps,
        "lr_decay_iters": steps,
        "warmup_iters": 50,
        "eval_interval": steps,
        "eval_iters": 1,
    }


def projected_nanogpt(peer: NanoGPT) -> dict[str, Any]:
    """From few steps: what 2,000 would take."""
    run = peer.run(1, max_iters=40, eval_interval=40, eval_iters=1)
    seconds = run["wall"] + 1.96 * run["step_ms"]
    return {"nanoGPT as published (projected)": {"steps": 2000, "step_ms": run["step_ms"], "seconds": seconds}}


# -- loss in a given time ---------------------------------------------------------------------------------------------


def best(chosen: argparse.Namespace) -> dict[str, Any]:
    """Whole-validation loss of recipes after so many seconds of wall time, start-up included."""
    found: dict[str, Any] = {}
    for pair in () if chosen.quick else chosen.best.split(","):
        length, _, recipe = pair.partition(":")
        seconds, arguments = float(length), _RECIPES.get(recipe, ["--size", recipe, "data.tokenizer=char"])
        runs = []
        for seed in range(1, chosen.seeds + 1):
            wanted = [*arguments, f"training.seed={seed}"]
            run = chosen.finished.of(
                [wanted, seconds], lambda wanted=wanted, seconds=seconds: one_run(wanted, seconds=seconds)
            )
            runs.append({"seed": seed, **run})
            say(pair, runs)
        found[f"{length} s, {recipe}"] = {"worst_loss": max(run["loss"] for run in runs), "runs": runs}
    return found


# -- tokens per second ------------------------------------------------------------------------------------------------


def speed(chosen: argparse.Namespace) -> dict[str, Any]:
    """Steps of all trainers in turns, with the machine's peak between them, so that ratios are of one minute."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        peak = Peak(Path(folder))
        for shape in ("0.8M", "10M") if chosen.quick else chosen.shapes.split(","):
            rounds, steps = (2, 3) if chosen.quick else _SPEED_ROUNDS[shape]
            rounds = chosen.rounds or rounds
            all_names = chosen.trainers.split(";") if chosen.trainers else list(_SPEED_TRAINERS)
            names = all_names[:2] if chosen.quick else all_names
            found[shape] = chosen.finished.of(
                ["speed", shape, names, rounds, steps],
                lambda shape=shape, names=names, turns=(rounds, steps): _one_shape(shape, names, peak, turns, chosen),
            )
    return found


def _one_shape(
    shape: str, names: list[str], peak: Peak, turns: tuple[int, int], chosen: argparse.Namespace
) -> dict[str, Any]:
    clock = "processor_ms" if chosen.one_thread else "ms"
    trainers = {
        name: Trainer(
            chosen.peer_python if "transformers" in name else sys.executable,
            shape,
            _SPEED_TRAINERS[name],
            dict(os.environ),
            clock,
        )
        for name in names
    }
    try:
        for trainer in trainers.values():
            trainer.steps(1)  # warm: memory touched, kernels chosen
            trainer.times.clear()
        for _ in range(turns[0]):
            for trainer in trainers.values():
                peak.measure(0.25)
                trainer.steps(turns[1])
    finally:
        for trainer in trainers.values():
            trainer.close()
    peaks = peak.take()
    threads = 1 if chosen.one_thread else 2
    top = max(peaks.get(f"bf16_{threads}", 0.0), peaks[f"fp32_{threads}"])
    return {"peak": peaks, "trainers": {name: trainer.result(top) for name, trainer in trainers.items()}}


# -- the command itself -----------------------------------------------------------------------------------------------


def first_step(chosen: argparse.Namespace) -> dict[str, Any]:
    """Seconds from `treadle train` to the end of its first step, on a cached build and prepared tokens."""
    times = []
    with tempfile.TemporaryDirectory() as folder:

        def treadle(*arguments: str) -> None:
            subprocess.run(
                [sys.executable, "-c", "from treadle.cli.main import main; main()", *arguments],
                cwd=folder,
                check=True,
                capture_output=True,
            )

        treadle("init", ".")
        for attempt in range(2 if chosen.quick else 7):
            name = f"bard{attempt}"
            treadle("new", name, "--size", "nano", "--tokenizer", "char")
            treadle("feed", name, str(bundled_text("shakespeare")))
            begin = time.time()
            treadle("train", name, "--steps", "2")
            times.append(_first_progress(Path(folder)) - begin)
    return {"seconds": {"median": statistics.median(times), "best": min(times), "all": times}}


def _first_progress(workspace: Path) -> float:
    newest = max(workspace.rglob("events.jsonl"), key=lambda path: path.stat().st_mtime)
    for line in newest.read_text().splitlines():
        event = json.loads(line)
        if event["type"] == "progress":
            return float(event["time"])
    raise SystemExit(f"{newest} tells of no step")


# -- what is printed --------------------------------------------------------------------------------------------------


def table(section: str, found: dict[str, Any]) -> str:
    """Markdown for one section."""
    return "\n".join(
        {"wall": _wall_rows, "best": _best_rows, "speed": _speed_rows, "first": _first_rows}[section](found)
    )


def _wall_rows(found: dict[str, Any]) -> list[str]:
    references = {name: row["seconds"] for name, row in found.items() if name.startswith("nanoGPT")}
    published = next((value for name, value in references.items() if "published" in name), None)
    tuned = references.get("nanoGPT tuned")
    rows = [
        "| to 1.898 nats | steps | seconds, worst seed | worst loss | x published | x tuned |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in found.items():
        ratios = [f"{reference / row['seconds']:.1f}" if reference else "-" for reference in (published, tuned)]
        loss = row.get("worst_loss")
        rows.append(
            f"| {name} | {row['steps']} | {row['seconds']:.1f} | {'-' if loss is None else f'{loss:.4f}'} "
            f"| {ratios[0]} | {ratios[1]} |"
        )
    return rows


def _best_rows(found: dict[str, Any]) -> list[str]:
    rows = ["| wall time | worst loss | losses | steps | parameters |", "|---|---|---|---|---|"]
    for name, row in found.items():
        losses = ", ".join(f"{run['loss']:.3f}" for run in row["runs"])
        run = row["runs"][0]
        rows.append(f"| {name} | {row['worst_loss']:.4f} | {losses} | {run['steps']} | {run['parameters']:,} |")
    return rows


def _speed_rows(found: dict[str, Any]) -> list[str]:
    rows = [
        "| shape | trainer | ms (p10, median) | tokens/s (p10) | share of peak | RSS MB |",
        "|---|---|---|---|---|---|",
    ]
    for shape, part in found.items():
        for name, row in part["trainers"].items():
            rows.append(
                f"| {shape} | {name} | {row['p10_ms']:.1f}, {row['median_ms']:.1f} | {row['tokens_per_second']:,.0f} "
                f"| {row['share_of_peak']:.0%} | {row['rss_mb']:.0f} |"
            )
    return rows


def _first_rows(found: dict[str, Any]) -> list[str]:
    times = found["seconds"]
    return [f"First step of `treadle train` after {times['median']:.2f} s (median; best {times['best']:.2f} s)."]


if __name__ == "__main__":
    main()
