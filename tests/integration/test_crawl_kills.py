"""kill -9 at any moment of a crawl: every page is in the data once. The killed process is this very file."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from treadle import Workspace
from treadle.data.config import DataSettings
from treadle.data.crawl.frontier import Frontier
from treadle.data.tokenizers.bytes import BytesTokenizer
from treadle.data.tokens import open_streams
from treadle.data.versions import DatasetVersions
from treadle.store.crawls import CrawlCard, CrawlCards
from treadle.store.models import ModelCards
from treadle.store.objects import ObjectStore
from treadle.store.references import referenced_objects
from treadle.store.workspace import WorkspaceFolder

KILLS = 10


def crawl_here(root, number):
    """Carry the crawl out in this process, as the process of a job does."""
    from treadle.data.crawl.config import checked_settings
    from treadle.jobs.context import RunContext
    from treadle.jobs.runs import create_run
    from treadle.operations.crawl import CrawlPayload
    from treadle.recipes.crawl import run
    from treadle.telemetry.events import EventLog

    workspace = WorkspaceFolder(Path(root))
    card = CrawlCards(workspace).get("site")
    folder = create_run(workspace, "crawl", {})
    folder.claim(0)
    context = RunContext(workspace, folder, EventLog(Path(root) / f"events-{number}.jsonl"))
    settings = checked_settings(dict(card.settings))
    print("ready", flush=True)
    print(
        json.dumps(
            run(context, CrawlPayload("site", card.seeds, card.model, None, allow_private=True, settings=settings))
        ),
        flush=True,
    )


def start(root, number):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, __file__, str(root), str(number)], **pipes)
    assert process.stdout.readline() == "ready\n", process.stderr.read()
    return process


def finished(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return json.loads(out)


def opened(quick_folder, manual, *, standing=False, **settings):
    lab = Workspace.create(quick_folder / "lab")
    lab.new("m", size="nano", tokenizer="char", standing=standing)
    workspace = WorkspaceFolder(quick_folder / "lab")
    model = ModelCards(workspace).get("m")
    seeds = (f"{manual.url}/index.html",)
    chosen = {"rate": 200.0, **settings}
    card = CrawlCard("site", "", seeds, model.id, None, allow_private=True, settings=chosen)
    CrawlCards(workspace).keep(card)
    return workspace, DatasetVersions(workspace.datasets / model.id, ObjectStore(workspace.objects))


def test_every_page_is_in_the_data_once_whatever_was_killed_when(quick_folder, manual):
    workspace, versions = opened(quick_folder, manual)
    manual.delay = 0.03
    chance = random.Random(7)
    killed = 0
    for number in range(KILLS):
        process = start(workspace.root, number)
        asked = len(manual.log)
        target = asked + chance.randrange(9) if number % 2 else None  # at a page, or at some time of feeding
        deadline = time.monotonic() + (chance.uniform(0.2, 1.5) if target is None else 30)
        while time.monotonic() < deadline and process.poll() is None and (target is None or len(manual.log) < target):
            time.sleep(0.002)
        killed += process.poll() is None
        process.kill()
        process.communicate()
    manual.delay = 0.0
    answer = finished(start(workspace.root, KILLS))
    assert killed >= 3
    assert (answer["pages"], answer["pending"], answer["unfed"]) == (31, 0, 0)
    sources = [entry.source.removeprefix(manual.url) for entry in versions.latest().entries()]
    assert sorted(sources) == sorted(manual.pages)
    ledger = versions.ledger()
    assert (ledger.accepted, ledger.refused) == (31, {})
    asked_for = manual.asked(200)
    # What a process had asked for when it was killed is asked for again, and nothing else is.
    assert len(asked_for) - len(set(asked_for)) <= killed

    manual.log.clear()
    manual.touch("/about.html", manual.pages["/about.html"].replace(b"</p>", b" Loom and treadle.</p>", 1))
    again = finished(start(workspace.root, KILLS + 1))
    assert (again["changed"], again["unchanged"], again["accepted"]) == (1, 30, 1)
    assert manual.asked(200) == ["/about.html"]


def test_a_page_is_the_same_document_whether_it_was_crawled_or_dropped_as_a_file(quick_folder, manual):
    workspace, versions = opened(quick_folder, manual, max_pages=12, chrome="keep")
    finished(start(workspace.root, 0))
    by_crawl = versions.latest()
    crawled = {entry.source.rpartition("/")[2]: entry for entry in by_crawl.entries()}
    lab = Workspace(workspace.root)
    lab.new("dropped", size="nano", tokenizer="char")
    folder = quick_folder / "pages"
    folder.mkdir()
    for name in crawled:
        (folder / name).write_bytes(manual.pages[f"/{name}"])
    fed = lab.feed("dropped", [folder])
    assert fed["accepted"] == len(crawled) == 12
    identity = ModelCards(workspace).get("dropped").id
    of_model = DatasetVersions(workspace.datasets / identity, ObjectStore(workspace.objects))
    by_file = of_model.latest()
    for entry in by_file.entries():
        twin = crawled[entry.source.rpartition("/")[2]]
        assert (entry.id, entry.size) == (twin.id, twin.size)
        assert {**entry.metadata, "crawl": "site"} == twin.metadata
    assert by_file.id == by_crawl.id
    assert of_model.ledger() == versions.ledger()
    one, other = (open_streams(data, BytesTokenizer(), DataSettings()) for data in (by_file, by_crawl))
    assert (one.targets, one.held_out.targets) == (other.targets, other.held_out.targets)
    with Frontier(workspace.root / "crawls" / "site", read_only=True) as frontier:
        bodies = {row["body"] for row in frontier.export()}
    assert len(bodies) == 12
    assert bodies <= referenced_objects(workspace)  # so that collecting garbage leaves them


def test_a_standing_model_is_to_be_trained_while_the_crawl_goes_on(quick_folder, manual):
    workspace, _ = opened(quick_folder, manual, standing=True)
    events = workspace.root / "events-0.jsonl"
    process = start(workspace.root, 0)
    deadline = time.monotonic() + 60
    while len(manual.asked(200)) < 22 and time.monotonic() < deadline:
        time.sleep(0.005)
    manual.delay = 5.0  # the rest of the site comes only when the training waits in its queue
    while "trains `m`" not in events.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    asked = len(manual.asked(200))
    manual.delay = 0.0
    answer = finished(process)
    assert asked < 31
    assert answer["training_job"] is not None
    assert (answer["pages"], answer["accepted"]) == (31, 31)


def test_a_stop_is_kept_and_the_crawl_goes_on(quick_folder, manual):
    workspace, _ = opened(quick_folder, manual)
    manual.delay = 0.05
    process = start(workspace.root, 0)
    deadline = time.monotonic() + 30
    while len(manual.asked(200)) < 4 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    manual.delay = 0.0
    assert finished(start(workspace.root, 1))["pages"] == 31
    assert max(map(manual.asked(200).count, manual.asked(200))) <= 2


if __name__ == "__main__":
    crawl_here(sys.argv[1], int(sys.argv[2]))
