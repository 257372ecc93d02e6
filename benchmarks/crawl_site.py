"""A whole site from the disk, served on loopback with all that goes wrong on one, crawled through ten kills.

    python benchmarks/crawl_site.py SITE --results benchmarks/results/crawl-site.json

SITE is a folder of HTML with an `index.html`, such as SQLite's documentation (`sqlite-doc-*.zip` of sqlite.org). Its
pages have ETag and Last-Modified; some are slow, some say 429 a few times, some redirect.

The crawl's process is killed (SIGKILL) at ten random pages, each time begun again, and then left to its end. Then two
pages are touched, and it is begun once more. What counts is the server's log: what it was asked for, what it sent.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1] / "tests"
EACH = 8
"""Pages of each kind of trouble."""

CRAWL = """
import json, sys
from pathlib import Path
from treadle.data.crawl.config import checked_settings
from treadle.jobs.context import RunContext
from treadle.jobs.runs import create_run
from treadle.operations.crawl import CrawlPayload
from treadle.recipes.crawl import run
from treadle.store.crawls import CrawlCards
from treadle.store.workspace import WorkspaceFolder
from treadle.telemetry.events import EventLog
workspace = WorkspaceFolder(Path(sys.argv[1]))
card = CrawlCards(workspace).get("site")
folder = create_run(workspace, "crawl", {})
folder.claim(0)
context = RunContext(workspace, folder, EventLog(folder.events))
settings = checked_settings(dict(card.settings))
found = run(context, CrawlPayload("site", card.seeds, None, card.dataset, allow_private=True, settings=settings))
print(json.dumps(found))
"""


def served(folder: Path, seed: int) -> Any:  # noqa: ANN401 - the test server
    """The site with its troubles; nothing hangs on which pages they are, so chance chooses."""
    sys.path.insert(0, str(TESTS))
    module = importlib.import_module("site_server")
    pages = {f"/{path.relative_to(folder)}": path.read_bytes() for path in sorted(folder.rglob("*.html"))}
    site = module.Site(pages=pages, retry_after="1")
    some = random.Random(seed).sample(sorted(set(pages) - {"/index.html"}), 3 * EACH)
    site.slow = dict.fromkeys(some[:EACH], 1.5)
    site.busy = dict.fromkeys(some[EACH : 2 * EACH], 2)
    for path in some[2 * EACH :]:
        site.redirects[path] = f"{path}?moved"
        site.pages[f"{path}?moved"] = site.pages.pop(path)
    return site


def opened(lab: Path, url: str) -> Any:  # noqa: ANN401 - a named dataset
    """A workspace with a dataset, and a crawl of the site into it."""
    from treadle.recipes.datasets import new, open_named
    from treadle.store.crawls import CrawlCard, CrawlCards
    from treadle.store.workspace import create_workspace

    workspace = create_workspace(lab)
    new(workspace, "docs", {})
    settings = {"rate": 1000.0, "depth": 100, "chrome": "keep"}
    seeds = (f"{url}/index.html",)
    CrawlCards(workspace).keep(CrawlCard("site", "", seeds, None, "docs", allow_private=True, settings=settings))
    return open_named(workspace, "docs")


def begun(lab: Path) -> subprocess.Popen[str]:
    """Start the crawl, or go on with it."""
    return subprocess.Popen([sys.executable, "-c", CRAWL, str(lab)], stdout=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for the crawl's own end."""
    out, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"the crawl ended with {process.returncode}")
    answer: dict[str, Any] = json.loads(out.splitlines()[-1])
    return answer


def killed(lab: Path, site: Any, kills: int, chance: random.Random) -> list[int]:  # noqa: ANN401 - the test server
    """Begin and kill the crawl; gives after how many pages each kill came."""
    after = []
    for place in sorted(chance.sample(range(5, int(0.9 * len(site.pages))), kills)):
        process = begun(lab)
        while process.poll() is None and len(set(site.asked(200))) < place:
            time.sleep(0.002)
        if process.poll() is not None:
            break
        process.kill()
        process.communicate()
        after.append(len(set(site.asked(200))))
    return after


def measured(folder: Path, lab: Path, kills: int, seed: int) -> dict[str, Any]:
    """Crawl, kill, crawl to the end, touch two pages, crawl again."""
    site = served(folder, seed)
    chance = random.Random(seed)
    named = opened(lab, site.url)
    begin = time.monotonic()
    after = killed(lab, site, kills, chance)
    answer = ended(begun(lab))
    seconds = time.monotonic() - begin
    sent = site.asked(200)
    dataset = named.versions.latest()
    sources = Counter(entry.source.removeprefix(site.url) for entry in dataset.entries())
    known = sum(named.versions.ledger().refused.values())
    first = {
        "pages_of_the_site": len(site.pages),
        "kills_after_pages": after,
        "pages_kept": answer["pages"],
        "pages_sent": len(set(sent)),
        "bodies_sent_twice": len(sent) - len(set(sent)),
        "in_the_data": len(sources),
        "in_the_data_twice": sum(count - 1 for count in sources.values()),
        "refused_as_data": dict(named.versions.ledger().refused),
        "neither_in_the_data_nor_refused": answer["pages"] - len(sources) - known,
        "asked_while_busy": sum(request.status == 429 for request in site.log),
        "redirects": answer["redirects"],
        "slow_pages_kept": len(set(site.slow) & set(sent)),
        "bytes": answer["bytes"],
        "seconds": round(seconds, 1),
    }
    site.log.clear()
    touched = sorted(chance.sample(sorted(set(sources) - set(site.redirects)), 2))
    for path in touched:
        site.touch(path, site.pages[path].replace(b"</body>", b"<p>A line about looms.</p></body>") + b"<!-- new -->")
    again = ended(begun(lab))
    return {
        "first_round": first,
        "second_round": {
            "touched": touched,
            "sent": sorted(site.asked(200)),
            "not_modified": len(site.asked(304)),
            "changed": again["changed"],
            "unchanged": again["unchanged"],
        },
    }


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("site", type=Path)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crawl-site-") as folder:
        found = measured(given.site, Path(folder) / "lab", given.kills, given.seed)
    commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], text=True).strip()
    report = {
        "command": " ".join(["python", "benchmarks/crawl_site.py", "SITE", *sys.argv[2:]]),
        "commit": commit,
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        **found,
    }
    print(json.dumps(report, indent=2))
    if given.results:
        given.results.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
