"""How fast files become a clean dataset, beside datatrove, and in how much memory.

    python benchmarks/ingest.py --megabytes 200 --datatrove OTHER_ENVIRONMENT/bin/python --results results/ingest.json

Both read the same JSON Lines, judge each document by the rules of Gopher, C4 and FineWeb, and find near-duplicates by
MinHash of five-word runs. Treadle also normalises, tells the language, verifies each pair truly, hashes and stores
(with `--tokenise` it encodes, too); datatrove takes four stages and writes what is left. What counts is megabytes of
text per CPU second of all processes; memory is the greatest sum of the resident memory of all processes.

The text is made by a model of real text (`--texts`; Shakespeare, if none is given): which word follows which, each
tenth word anew. So documents are distinct, but for three in a hundred that copy another with one word in 130 changed.
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
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SHAKESPEARE = Path(__file__).resolve().parents[1] / "src" / "treadle" / "data" / "bundled" / "shakespeare.txt"
SHARD = 32 << 20
COPIES = 0.03
ANEW = 0.1
BLOCK = 2048
"""Documents that are made at a time."""
SHORTEST, LONGEST = 300, 2500
"""Words of a document."""

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
    from treadle.data.tokenizers.learning import tokenizer_for
    from treadle.data.tokens import open_streams
    dataset = find_version(workspace, "made")[1]
    tokenizer, choice = tokenizer_for(dataset, DataSettings())  # as a first training does
    tokens = open_streams(dataset, tokenizer, DataSettings()).targets
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


class Words:
    """A model of real text: which word follows which, and how often."""

    def __init__(self, texts: Sequence[Path]) -> None:
        """Learn it from files of text."""
        every = np.array(
            [word for path in texts for word in path.read_text(encoding="utf-8", errors="replace").split()]
        )
        known, self._numbers = np.unique(every, return_inverse=True)
        self.words: list[str] = known.tolist()
        self._places = np.argsort(self._numbers[:-1], kind="stable")  # of each word, one after the other
        self._count = np.bincount(self._numbers[:-1], minlength=len(known))
        self._first = np.cumsum(self._count) - self._count

    def texts(self, count: int, length: int, chance: np.random.Generator) -> NDArray[np.int64]:
        """Word numbers of `count` texts, (count, length): chains in which one step in ten begins anew."""
        found = np.empty((count, length), np.int64)
        found[:, 0] = chance.choice(self._numbers, count)
        for place in range(1, length):
            last = found[:, place - 1]
            anew = (chance.random(count) < ANEW) | (self._count[last] == 0)
            pick = self._first[last] + (chance.random(count) * self._count[last]).astype(np.int64)
            next_places = self._places[np.minimum(pick, len(self._places) - 1)] + 1
            found[:, place] = np.where(anew, chance.choice(self._numbers, count), self._numbers[next_places])
        return found


def make(folder: Path, megabytes: int, words: Words, seed: int = 7) -> int:
    """Write JSON Lines of made documents; gives the bytes of their text."""
    chance = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    total, number = 0, 0
    file = (folder / "00000.jsonl").open("w")
    while total < megabytes * 1_000_000:
        earlier: list[list[str]] = []
        for row in words.texts(BLOCK, LONGEST, chance):
            if earlier and chance.random() < COPIES:
                text = list(earlier[chance.integers(len(earlier))])
                for place in chance.integers(0, len(text), max(1, len(text) * 3 // 400)):
                    text[place] = "changed"
            else:
                text = [words.words[place] for place in row[: chance.integers(SHORTEST, LONGEST)].tolist()]
                earlier.append(text)
            lines = [" ".join(text[start : start + 18]).capitalize() + "." for start in range(0, len(text), 18)]
            document = "\n".join(lines)
            total += len(document.encode())
            file.write(json.dumps({"text": document, "id": number}) + "\n")
            number += 1
            if file.tell() > SHARD:
                file.close()
                file = (folder / f"{number:06d}.jsonl").open("w")
            if total >= megabytes * 1_000_000:
                break
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
    parser.add_argument("--texts", type=Path, nargs="+", default=[SHAKESPEARE], help="files of text to learn from")
    parser.add_argument("--folder", type=Path, help="where there is room; a temporary folder is made in it")
    parser.add_argument("--only-datatrove", action="store_true")
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ingest-", dir=given.folder) as temporary:
        folder = Path(temporary)
        size = make(folder / "made", given.megabytes, Words(given.texts))
        rows = {}
        command = [sys.executable, "-c", TREADLE, str(folder / "lab"), str(folder / "made"), str(given.processes)]
        if not given.only_datatrove:
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
