"""Reading and editing notes: processor time of a scan, an edit, a check; `scripts/bench flow`.

Best of several rounds in one process, in processor time, which busy neighbours disturb little.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from treadle.flow.checks.catalog import chosen, find_all
from treadle.flow.edits import apply, state_splices
from treadle.flow.folder import FlowFolder
from treadle.flow.page import parse
from treadle.flow.scanner import decode, encode
from treadle.flow.verbs import add, perform

if TYPE_CHECKING:
    from collections.abc import Callable

TASKS = 10_000
ROUNDS = 7


def milliseconds(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Processor time of the quickest round."""
    best = float("inf")
    for _ in range(rounds):
        begin = time.process_time()
        work()
        best = min(best, time.process_time() - begin)
    return round(best * 1000, 2)


def plain(number: int) -> str:
    return "# Tasks\n\n## Active\n\n" + "".join(f"- [ ] Task number {index} of many\n" for index in range(number))


def mixed(number: int) -> str:
    rows = (
        "- [ ] 🟠 Write part {0} of the thing\n",
        "- [x] Fix the module number {0} ✅ 2026-04-03 <# src/module.py #>\n",
        "  - [ ] Sub-part {0} with a longer title about `code.py`\n",
        "- ⏳ **Improve coverage {0}**: 🟡\n",
        "- ### 🔴 Decide what to do with {0}\n",
    )
    return "# Tasks\n\n## Active\n\n" + "".join(rows[index % len(rows)].format(index) for index in range(number))


def told(text: str) -> int:
    """Everything a list needs: titles, states, priorities."""
    return sum(len(task.title) + len(task.state) + len(task.priority or "") for task in parse("t.md", text).tasks)


def scans() -> dict[str, float]:
    found = {}
    for name, text in (("plain", plain(TASKS)), ("mixed", mixed(TASKS))):
        data = encode(text)
        found[f"scan of 10,000 tasks, {name}"] = milliseconds(lambda data=data: parse("t.md", decode(data)))
        found[f"scan with title, state and priority of each, {name}"] = milliseconds(lambda text=text: told(text))
    return found


def edits(folder: Path) -> dict[str, float]:
    text = mixed(TASKS)
    page = parse("t.md", text)
    task = page.tasks[TASKS // 2]
    big = mixed(100_000)
    (folder / "active").mkdir(parents=True)
    (folder / "active" / "tasks.md").write_text(text, encoding="utf-8")
    (folder / "large.md").write_text(big, encoding="utf-8")
    size = round(len(big.encode()) / 1e6, 1)
    found = {
        "one-line edit of 10,000 tasks, scanned": milliseconds(
            lambda: apply(page.text, state_splices(page, task, "done", "2026-11-22"))
        ),
        f"scan of {size} MB": milliseconds(lambda: parse("t.md", big), 3),
    }
    (folder / "large.md").unlink()
    notes = FlowFolder(folder)
    found["verb `add` on 10,000 tasks, read, planned and written"] = milliseconds(
        lambda: perform(notes, lambda draft: add(draft, "another")), 3
    )
    return found


def checks(folder: Path) -> dict[str, float]:
    for index in range(1000):
        name = folder / f"part-{index % 20}" / f"page-{index}.md"
        name.parent.mkdir(parents=True, exist_ok=True)
        name.write_text(
            f"# Page {index}\n\nSee [next](page-{(index + 20) % 1000}.md).\n\n" + mixed(10), encoding="utf-8"
        )
    return {"all checks on 1,000 files with 10 tasks each": milliseconds(lambda: find_all(folder, chosen("", "")), 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        figures = scans() | edits(Path(place) / "one") | checks(Path(place) / "many")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    machine = f"{platform.machine()}, Python {platform.python_version()}"
    record = {
        "command": "scripts/bench flow",
        "commit": commit.stdout.strip(),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine,
        "unit": "ms of processor time, best of several",
        "figures": figures,
    }
    for name, value in figures.items():
        print(f"{value:>10,.2f} ms  {name}")
    if options.out:
        options.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
