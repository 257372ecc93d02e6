"""Compare recipes: the same settings over several texts and seeds, each result one line of a JSONL file.

    python benchmarks/recipes.py --results FILE.jsonl --label relu2 --size nano --cost 118 --text shakespeare \\
        --text pride.txt --seed 1 --seed 2 -- family.activation=relu2
    python benchmarks/recipes.py --results FILE.jsonl --table

The length is `--steps`, or `--cost`: processor seconds of steps, which the first few steps of the first run are
measured for. On a machine that others use too, wall seconds rank the neighbours; processor time of one thread ranks
the recipes. A budget of S wall seconds on two quiet cores is about 2 S of them, less what a learner loses between
threads. `shakespeare` is read by characters, anything else by bytes; the whole held-out part is measured each time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import one_run

from treadle.training.schedules import Budget

_PROBE_STEPS = 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--table", action="store_true", help="only show what the file holds")
    parser.add_argument("--label")
    parser.add_argument("--size", default="nano")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--cost", type=float, help="processor seconds")
    parser.add_argument("--text", action="append")
    parser.add_argument("--seed", type=int, action="append")
    parser.add_argument("--average", type=int, default=0, help="measure a mean of so many late snapshots, too")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    chosen = parser.parse_args()
    if chosen.table:
        show(chosen.results)
        return
    steps = chosen.steps
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    for text in chosen.text or ["shakespeare"]:
        tokenizer = "char" if text == "shakespeare" else "bytes"
        texts = one_run.read_texts(text)
        for seed in chosen.seed or [1]:
            settings = one_run.compose_settings(
                chosen.size,
                [f"data.tokenizer={tokenizer}", "training.threads=1", f"training.seed={seed}", *chosen.overrides],
            )
            prepared = one_run.prepare(texts, settings)
            if steps is None:
                probe = one_run.train(settings, prepared, Budget("steps", _PROBE_STEPS), evaluating=False)
                steps = max(1, round(chosen.cost * 1000 / probe.processor_ms[0]))
            outcome = one_run.train(settings, prepared, Budget("steps", steps), average=chosen.average)
            result = {
                "label": chosen.label,
                "size": chosen.size,
                "text": Path(text).name,
                "seed": seed,
                "average": chosen.average,
                "overrides": chosen.overrides,
                "cost": steps * outcome.processor_ms[0] / 1000,
                "commit": commit.stdout.strip(),
                "at": time.strftime("%Y-%m-%dT%H:%M:%S"),
                **asdict(outcome),
            }
            with chosen.results.open("a") as file:
                file.write(json.dumps(result) + "\n")
            print(f"{chosen.label} {result['text']} seed {seed}: {outcome.loss:.4f}", file=sys.stderr)


def show(results: Path) -> None:
    """Print one row per recipe and text: the losses of its seeds, their means, and what it cost."""
    rows: dict[tuple[str, str, str, int], list[dict[str, Any]]] = {}
    for line in results.read_text().splitlines():
        result = json.loads(line)
        rows.setdefault((result["size"], result["text"], result["label"], result["steps"]), []).append(result)
    print("| size | text | recipe | steps | losses | mean | of averaged weights | end of training | processor s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for (size, text, label, steps), found in sorted(rows.items()):
        losses = [result["loss"] for result in found]
        averaged = [result["averaged_loss"] for result in found if result.get("averaged_loss")]
        print(
            f"| {size} | {text} | {label} | {steps} | {', '.join(f'{loss:.4f}' for loss in losses)} "
            f"| {statistics.mean(losses):.4f} | {f'{statistics.mean(averaged):.4f}' if averaged else '-'} "
            f"| {statistics.mean(r['training_loss'] for r in found):.3f} "
            f"| {statistics.mean(r['cost'] for r in found):.0f} |"
        )


if __name__ == "__main__":
    main()
