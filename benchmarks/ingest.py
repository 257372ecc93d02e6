"""How fast files become a clean dataset, beside datatrove, and in how much memory.

    python benchmarks/ingest.py --megabytes 200 --datatrove OTHER_ENVIRONMENT/bin/python --results results/ingest.json

Both read the same JSON Lines, judge each document by the rules of Gopher, C4 and FineWeb, and find near-duplicates by
MinHash of five-word runs. Treadle also normalises, tells the language, verifies each pair truly, hashes and stores
(with `--tokenise` it encodes, too); datatrove takes four stages and writes what is left. What counts is megabytes of
text per CPU second of all processes; memory is the greatest sum of the resident memory of all processes.

The text is made: words drawn with Zipf's frequencies from a vocabulary of 60,000, so that documents are distinct but
for a stated share that copies an earlier one with three words of a hundred changed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

SHARD = 32 << 20
COPIES = 0.03
_STOP = ["the", "of", "and", "to", "that", "have", "with", "be", "in", "a", "is", "it", "for", "on", "as", "was"]

TREADLE = """
import sys
from pathlib import Path
from treadle.jobs.context import RunContext
from treadle.jobs.runs import create_run
from treadle.operations.datasets import DataAddPayload
from treadle.recipes.dataset_add import run
from treadle.recipes.datasets import find_version, new
from treadle.store.workspace import create_workspace
from treadle.telemetry.events import EventLog
from dataclasses import asdict
lab, source, processes, tokenise = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4] == "1"
workspace = create_workspace(lab)
new(workspace, "made", {"quality": "gopher", "near_duplicates": "drop"})
payload = DataAddPayload("made", (source,), None, processes)
folder = create_run(workspace, "data.add", asdict(payload))
report = run(RunContext(workspace, folder, EventLog(folder.events)), payload)
tokens = None
if tokenise:
    from treadle.data.config import DataSettings
    from treadle.data.tokenizers.learning import sampled
    from treadle.data.tokenizers.tokenizer import train_tokenizer
    from treadle.data.tokens import open_streams
    dataset = find_version(workspace, "made")[1]
    parts = ((one.id, one.pieces()) for one in dataset.documents())
    tokenizer = train_tokenizer("bpe:8192", sampled(parts, dataset.manifest.bytes, 16 << 20))
    streams = open_streams(dataset, tokenizer, DataSettings())
    tokens = streams.targets
import json
print(json.dumps({"kept": report["documents"], "clusters": report["clusters"], "tokens": tokens}))
"""

DATATROVE = """
import json, sys
from pathlib import Path
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster
from datatrove.pipeline.dedup import MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.filters import C4QualityFilter, FineWebQualityFilter
from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.hashing import HashConfig
lab, source, processes = sys.argv[1], sys.argv[2], int(sys.argv[3])
tasks = max(1, len(list(Path(source).glob("*.jsonl"))))
config = MinhashConfig(hash_config=HashConfig(precision=64), n_grams=5, num_buckets=20, hashes_per_bucket=6)
def judged(kind, **settings):
    made = kind(**settings)
    judge = made.filter
    made.filter = lambda document: (judge(document), True)[1]  # measured, not dropped: as the other side does
    return made
def stage(pipeline, tasks, workers):
    LocalPipelineExecutor(pipeline=pipeline, tasks=tasks, workers=workers, logging_dir=None).run()
def main():
    read = lambda: JsonlReader(source, glob_pattern="*.jsonl")
    stage([read(), judged(GopherRepetitionFilter), judged(GopherQualityFilter),
           judged(C4QualityFilter, filter_no_terminal_punct=False), judged(FineWebQualityFilter),
           JsonlWriter(f"{lab}/judged", compression=None)], tasks, processes)
    again = lambda: JsonlReader(f"{lab}/judged")
    stage([again(), MinhashDedupSignature(output_folder=f"{lab}/signatures", config=config)], tasks, processes)
    buckets = MinhashDedupBuckets(input_folder=f"{lab}/signatures", output_folder=f"{lab}/buckets", config=config)
    stage([buckets], 20, processes)
    stage([MinhashDedupCluster(input_folder=f"{lab}/buckets", output_folder=f"{lab}/removed", config=config)], 1, 1)
    keep = MinhashDedupFilter(input_folder=f"{lab}/removed")
    stage([again(), keep, JsonlWriter(f"{lab}/out", compression=None)], tasks, processes)
    print(json.dumps({"kept": sum(1 for path in Path(lab, "out").glob("*.jsonl") for _ in path.open())}))
if __name__ == "__main__":
    main()
"""


def make(folder: Path, megabytes: int, seed: int = 7) -> int:
    """Write JSON Lines of made documents; gives the bytes of their text."""
    chance = np.random.default_rng(seed)
    letters = np.array(list("etaoinshrdlucmfwypvbgk"))
    words = _STOP + ["".join(chance.choice(letters, 2 + length % 9)) for length in range(60_000)]
    weights = 1 / np.arange(2, len(words) + 2)
    chances = np.cumsum(weights / weights.sum())
    folder.mkdir(parents=True)
    total, number = 0, 0
    file = (folder / "00000.jsonl").open("w")
    earlier: list[list[str]] = []
    while total < megabytes * 1_000_000:
        if earlier and chance.random() < COPIES:
            text = list(earlier[chance.integers(len(earlier))])
            for place in chance.integers(0, len(text), max(1, len(text) * 3 // 400)):
                text[place] = "changed"
        else:
            text = [words[place] for place in np.searchsorted(chances, chance.random(int(chance.integers(300, 2500))))]
            earlier = [*earlier[-200:], text]
        lines = [" ".join(text[start : start + 18]).capitalize() + "." for start in range(0, len(text), 18)]
        document = "\n".join(lines)
        total += len(document)
        file.write(json.dumps({"text": document, "id": number}) + "\n")
        number += 1
        if file.tell() > SHARD:
            file.close()
            file = (folder / f"{number:05d}.jsonl").open("w")
    file.close()
    return total


def measured(command: list[str], folder: Path) -> dict[str, float | str]:
    """Run a command in `folder`; gives wall seconds, CPU seconds and the peak of the memory of all its processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder)
    peak = [0]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.3):
            peak[0] = max(peak[0], _memory(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    out, error = process.communicate()
    over.set()
    watcher.join()
    if process.returncode:
        raise SystemExit(error[-3000:])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "wall_seconds": round(time.perf_counter() - begin, 2),
        "cpu_seconds": round(cpu, 2),
        "peak_bytes": peak[0],
        "said": out.strip().splitlines()[-1],
    }


def _memory(root: int) -> int:
    """Resident bytes of a process and all that it started."""
    parents: dict[int, int] = {}
    sizes: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            sizes[int(path.name)] = int((path / "statm").read_text().split()[1]) * resource.getpagesize()
            parents[int(path.name)] = int(fields[1])
        except (OSError, IndexError):
            continue
    family = {root}
    while more := {child for child, parent in parents.items() if parent in family and child not in family}:
        family |= more
    return sum(sizes[one] for one in family if one in sizes)


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--datatrove", help="interpreter of an environment that has datatrove")
    parser.add_argument("--tokenise", action="store_true")
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ingest-") as temporary:
        folder = Path(temporary)
        size = make(folder / "made", given.megabytes)
        rows = {}
        command = [sys.executable, "-c", TREADLE, str(folder / "lab"), str(folder / "made"), str(given.processes)]
        rows["treadle"] = measured([*command, "1" if given.tokenise else "0"], folder)
        if given.datatrove:
            script = folder / "peer.py"
            script.write_text(DATATROVE)
            (folder / "peer").mkdir()
            peer = [given.datatrove, str(script), str(folder / "peer"), str(folder / "made"), str(given.processes)]
            print(json.dumps(rows), file=sys.stderr)
            rows["datatrove"] = measured(peer, folder)
    for row in rows.values():
        row["megabytes_per_cpu_second"] = round(size / 1e6 / float(row["cpu_seconds"]), 3)
    commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], text=True).strip()
    report = {
        "command": " ".join(["python", *sys.argv]),
        "commit": commit,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "date": time.strftime("%Y-%m-%d"),
        "bytes": size,
        **rows,
    }
    print(json.dumps(report, indent=2))
    if given.results:
        given.results.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
