"""The pages and their stream of events: start, first load, time from an event to the screen, many clients, memory.

    python benchmarks/web.py [--minutes 10] [--clients 20] [--out benchmarks/results/web.json]

A real `treadle ui` on a workspace with one model; this process writes the events of a running job as a training does,
four a second, and reads them back through real connections. What is asked:
- `start`: from the start of the command to its first answered page.
- `first_load`: bytes and requests of the first visit of each page in Chromium, with nothing cached, and the
  largest file of JavaScript.
- `arrive`: from the moment an event is written to its arrival at a client.
- `drawn`: from there on to the changed text in Chromium, on the first page.
- `clients`: share of one core that the server uses with all clients, and with none, beside the same events.
- `memory`: resident megabytes of the server after a minute of events and at the end.
Chromium and playwright are needed for `first_load` and `drawn`; without them they are left out, and the answer says so.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import http.client
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser

    from treadle.store.workspace import WorkspaceFolder

PACE = 0.25
"""Seconds between two events of a training."""
DRAWINGS, ARRIVALS = 40, 200


def main() -> None:
    """Measure and write what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), chosen.minutes, chosen.clients)
    text = json.dumps(found, indent=2)
    print(text)
    if chosen.out:
        chosen.out.write_text(text + "\n")


def measure(folder: Path, minutes: float, clients: int) -> dict[str, Any]:
    """All of it, one after the other."""
    import treadle
    from treadle.store.workspace import WorkspaceFolder

    workspace = treadle.Workspace.create(folder / "lab")
    workspace.new("bard", size="nano", tokenizer="char")
    found: dict[str, Any] = {
        "command": f"python {' '.join(sys.argv)}",
        "commit": subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip(),
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "largest_javascript": largest_javascript(),
    }
    starts = []
    for _ in range(3):
        began = time.monotonic()
        with served(workspace.root) as (_, port):
            ask(port, "/")
            starts.append(round(time.monotonic() - began, 3))
    found["start"] = {"seconds": starts}
    with running_job(WorkspaceFolder(workspace.root)) as emit, served(workspace.root) as (pid, port):
        found["arrive"] = arrivals(port, emit)
        found |= in_the_browser(port, emit)
        found["clients"] = many(pid, port, emit, clients)
        found["memory"] = memory(pid, port, emit, minutes)
    return found


@contextlib.contextmanager
def served(root: Path) -> Iterator[tuple[int, int]]:
    """A `treadle ui`; gives its process and port."""
    command = [Path(sys.executable).parent / "treadle", "ui", "--no-browser", "--workspace", root]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            said = process.stderr.readline() if process.stderr is not None else ""
            yield process.pid, int(re.findall(r"http://127.0.0.1:(\d+)", said)[0])
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


@contextlib.contextmanager
def running_job(folder: WorkspaceFolder) -> Iterator[Callable[[int], None]]:
    """A job that this process holds as a worker does; gives what writes an event of its run."""
    from treadle.jobs.identity import WorkerIdentity
    from treadle.jobs.job import NewJob
    from treadle.jobs.ledger import Ledger
    from treadle.jobs.runs import create_run
    from treadle.store.models import ModelCards
    from treadle.telemetry.events import EventLog

    card = ModelCards(folder).get("bard")
    with Ledger.open(folder) as ledger:
        ledger.submit(NewJob(f"model:{card.id}", "train", {"model": card.id}))
        worker = WorkerIdentity.current()
        ledger.work.register(worker, {})
        claim = ledger.work.claim(worker, {"heavy": 1})
        run = create_run(folder, "train", {"model": card.id})
        ledger.work.set_run(claim, run.id)
        log = EventLog(run.events)
        yield lambda step: log.emit(
            "progress", step=step, total_steps=10**9, epoch=1.0, fraction=0.5, loss=2.0, held_out_loss=2.1,
            bits_per_byte=3.0, targets_per_second=40_000.0, eta_seconds=10.0, memory_bytes=10**8,
        )  # fmt: skip
        log.close()
        ledger.work.finish(claim, {})


def ask(port: int, path: str) -> bytes:
    """The body of one answer."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as way:
        way.request("GET", path)
        return way.getresponse().read()


class Client:
    """One that watches; remembers when the event of which step came."""

    def __init__(self, port: int) -> None:
        self.way = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self.way.request("GET", "/api/v1/events")
        self.answer = self.way.getresponse()
        self.came: dict[int, float] = {}
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError, AttributeError, http.client.HTTPException):
            for line in self.answer:
                if line.startswith(b"data: ") and b'"step":' in line:
                    self.came[int(line.partition(b'"step":')[2].partition(b",")[0])] = time.time()

    def close(self) -> None:
        """Go away."""
        if self.way.sock is not None:
            self.way.sock.shutdown(2)
        self.way.close()


def arrivals(port: int, emit: Callable[[int], None]) -> dict[str, Any]:
    """From the writing of an event to its arrival."""
    client, written = Client(port), {}
    time.sleep(1)
    for step in range(1, ARRIVALS + 1):
        written[step] = time.time()
        emit(step)
        time.sleep(0.03)
    time.sleep(1)
    late = sorted(1000 * (client.came[step] - written[step]) for step in written)
    client.close()
    return {"events": len(late), **spread(late)}


def spread(milliseconds: list[float]) -> dict[str, float]:
    """Median, ninety-ninth percentile and worst."""
    ranked = sorted(milliseconds)
    return {
        "median_ms": round(statistics.median(ranked), 1),
        "p99_ms": round(ranked[min(len(ranked) - 1, int(0.99 * len(ranked)))], 1),
        "worst_ms": round(ranked[-1], 1),
    }


def in_the_browser(port: int, emit: Callable[[int], None]) -> dict[str, Any]:
    """First loads, and from the writing of an event to the changed text."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        program = None
    if program is None:
        return {"first_load": "left out: no Chromium or no playwright", "drawn": "left out: the same"}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        loads = {}
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        addresses = page.locator("nav a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
        for address in addresses:
            loads[address] = first_load(browser, f"http://127.0.0.1:{port}{address}")
        page.evaluate(
            """() => { window.seen = {}; new MutationObserver(() => {
                 const text = document.querySelectorAll('article.running dd span')[1].textContent;
                 const step = parseInt(text.replaceAll(',', ''));
                 window.seen[step] ??= performance.timeOrigin + performance.now();
               }).observe(document.querySelector('article.running'),
                          {subtree: true, childList: true, characterData: true}); }"""
        )
        written = {}
        for step in range(1_000_001, 1_000_001 + DRAWINGS):
            written[step] = time.time()
            emit(step)
            page.wait_for_timeout(200)
        seen = page.evaluate("window.seen")
        browser.close()
    late = [seen[str(step)] - 1000 * moment for step, moment in written.items() if str(step) in seen]
    return {"first_load": loads, "drawn": {"events": len(late), **spread(late)}}


def first_load(browser: Browser, address: str) -> dict[str, Any]:
    """Requests and bytes of a visit with nothing cached."""
    context = browser.new_context()
    page = context.new_page()
    answers: list[Any] = []

    def answered(answer: object) -> None:
        answers.append(answer)

    page.on("response", answered)
    page.goto(address)
    page.wait_for_timeout(1000)
    sizes = [len(one.body()) for one in answers if "/events" not in one.url]
    context.close()
    return {"requests": len(sizes), "kilobytes": round(sum(sizes) / 1000, 1)}


def many(pid: int, port: int, emit: Callable[[int], None], clients: int) -> dict[str, Any]:
    """The server's share of a core with all clients and with none."""
    found = {}
    for number in (0, clients):
        watching = [Client(port) for _ in range(number)]
        time.sleep(7)  # without watchers the reader of the files ends by itself
        before, began = cpu_seconds(pid), time.monotonic()
        for step in range(80):
            emit(2_000_000 + number * 1000 + step)
            time.sleep(PACE)
        used = (cpu_seconds(pid) - before) / (time.monotonic() - began)
        found[f"{number}_clients"] = {"share_of_a_core": round(used, 4)}
        if watching:
            found[f"{number}_clients"]["fewest_events_of_80"] = min(
                sum(step >= 2_000_000 + number * 1000 for step in client.came) for client in watching
            )
        for client in watching:
            client.close()
    return found


def memory(pid: int, port: int, emit: Callable[[int], None], minutes: float) -> dict[str, Any]:
    """Memory of the server while five watch; events come ten times as fast, and one of the five does not read."""
    clients = [Client(port) for _ in range(4)]
    idle = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    idle.request("GET", "/api/v1/events")
    rows, began, step = [], time.monotonic(), 3_000_000
    while (past := time.monotonic() - began) < 60 * minutes:
        emit(step)
        step += 1
        if not rows or past - rows[-1][0] >= 30:
            rows.append((round(past), resident(pid)))
        time.sleep(PACE / 10)
    rows.append((round(past), resident(pid)))
    for client in clients:
        client.close()
    idle.close()
    first = next((size for at, size in rows if at >= 60), rows[0][1])
    return {"minutes": minutes, "events": step - 3_000_000, "mb_after_a_minute": first, "mb_at_the_end": rows[-1][1]}


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> float:
    """Megabytes in memory."""
    text = Path(f"/proc/{pid}/status").read_text()
    return round(int(re.findall(r"VmRSS:\s+(\d+)", text)[0]) * 1024 / 1e6, 1)


def largest_javascript() -> dict[str, Any]:
    """The largest file of JavaScript that pages load."""
    import treadle.web

    files = Path(treadle.web.__path__[0]).rglob("*.js")
    size, name = max((path.stat().st_size, path.name) for path in files)
    return {"file": name, "kilobytes": round(size / 1000, 1)}


if __name__ == "__main__":
    main()
