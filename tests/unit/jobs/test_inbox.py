"""The inbox: what is complete is taken once, whatever is half written waits, and nothing is lost by a kill."""

import os
import time
from pathlib import Path

import pytest

from treadle.data.document import Refusal
from treadle.jobs.inbox import SETTLED_SECONDS, Inboxes, complete, feed_of, inbox_of, inbox_state, put_aside, take
from treadle.jobs.ledger import Ledger
from treadle.recipes.inbox import settle, shown_source
from treadle.store.workspace import create_workspace

MODEL = "m-0123"


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def workspace(quick_folder):
    made = create_workspace(quick_folder / "lab")
    inbox_of(made, MODEL).mkdir(parents=True)
    return made


@pytest.fixture
def inbox(workspace):
    return inbox_of(workspace, MODEL)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def inboxes(workspace, clock):
    return Inboxes(workspace, clock)


def looks(inboxes, clock, seconds, wait=1.0):
    """Every feed of the looks of the next seconds."""
    found = []
    for _ in range(int(seconds / wait)):
        found += inboxes.look()
        clock.now += wait
    return found


def names(feeds):
    return [sorted(path.name for path in Path(feed.payload["paths"][0]).iterdir()) for feed in feeds]


def test_what_has_come_to_rest_is_taken_as_one_feed(inbox, inboxes, clock):
    for name in ("b.txt", "a.md"):
        (inbox / name).write_text(name)
    assert looks(inboxes, clock, 2) == []
    assert inboxes.unsettled
    (feed,) = looks(inboxes, clock, 4)
    assert names([feed]) == [["a.md", "b.txt"]]
    assert (feed.queue, feed.kind, feed.lane, feed.payload["inbox"]) == (f"model:{MODEL}", "feed", "light", True)
    assert not inboxes.unsettled
    assert inbox_state(inbox).taken == 2
    assert looks(inboxes, clock, 5) == []


def test_a_file_that_grows_is_left_alone_until_it_rests(inbox, inboxes, clock):
    growing = inbox / "long.txt"
    for number in range(6):
        growing.write_text("word " * (number + 1))
        assert looks(inboxes, clock, 1) == []
    assert names(looks(inboxes, clock, 4)) == [["long.txt"]]


def test_a_change_that_leaves_the_size_counts_too(inbox, inboxes, clock):
    path = inbox / "same.txt"
    for number in range(5):
        path.write_text("word")
        os.utime(path, ns=(number, number))
        assert looks(inboxes, clock, 1) == []


def test_what_rests_waits_for_its_neighbours_but_not_for_ever(inbox, inboxes, clock):
    (inbox / "done.txt").write_text("done")
    feeds = []
    for number in range(20):
        (inbox / "endless.txt").write_text("x" * number)
        feeds += looks(inboxes, clock, 1)
    assert names(feeds) == [["done.txt"]]


def test_unfinished_hidden_and_refused_things_stay(inbox, inboxes, clock):
    for name in ("film.part", "page.crdownload", ".hidden", "draft.txt~", "x.tmp"):
        (inbox / name).write_text("x")
    (inbox / "refused").mkdir()
    (inbox / "refused" / "old.txt").write_text("x")
    os.mkfifo(inbox / "pipe")
    assert looks(inboxes, clock, 6) == []
    assert inbox_state(inbox).refused == 1
    (inbox / "film.part").rename(inbox / "film.txt")
    assert names(looks(inboxes, clock, 5)) == [["film.txt"]]


def test_a_folder_comes_as_a_whole_when_all_of_it_rests(inbox, inboxes, clock):
    (inbox / "notes").mkdir()
    for number in range(4):
        (inbox / "notes" / f"{number}.txt").write_text("x")
        assert looks(inboxes, clock, 1) == []
    (feed,) = looks(inboxes, clock, 5)
    assert names([feed]) == [["notes"]]
    assert not (inbox / "notes").exists()


def test_two_workers_share_an_inbox_without_losing_or_doubling_anything(workspace, inbox, clock):
    for number in range(20):
        (inbox / f"{number}.txt").write_text(str(number))
    watchers = [Inboxes(workspace, clock) for _ in range(2)]
    with Ledger.open(workspace) as ledger:
        for _ in range(6):
            jobs = [ledger.submit(feed) for watcher in watchers for feed in watcher.look()]
            clock.now += 1
        assert {job.id for job in jobs} <= {1}
        (job,) = ledger.jobs()
    assert len(list(Path(job.payload["paths"][0]).iterdir())) == 20


def test_what_a_killed_worker_took_without_queueing_it_is_found_by_the_next(workspace, inbox, clock):
    (inbox / "a.txt").write_text("a")
    taken = take(inbox, [inbox / "a.txt"])  # and here it dies
    with Ledger.open(workspace) as ledger:
        first = [ledger.submit(feed) for feed in Inboxes(workspace, clock).look()]
        again = [ledger.submit(feed) for feed in Inboxes(workspace, clock).look()]
        assert [job.id for job in first] == [job.id for job in again] == [1]
        assert first[0].payload["paths"] == [str(taken)]


def test_nothing_is_taken_that_somebody_else_has(inbox):
    assert take(inbox, [inbox / "gone.txt"]) is None
    assert list((inbox / ".taken").iterdir()) == []


def test_what_was_just_written_is_not_complete_yet(inbox):
    (inbox / "new.txt").write_text("x")
    (inbox / "old.txt").write_text("x")
    then = time.time() - SETTLED_SECONDS - 1
    os.utime(inbox / "old.txt", (then, then))
    assert complete(inbox) == [inbox / "old.txt"]


def test_refused_files_are_put_aside_with_their_reasons_and_the_rest_goes(inbox):
    folder = inbox / "notes"
    folder.mkdir()
    for path in (inbox / "good.txt", inbox / "bad.txt", folder / "empty.txt", folder / "fine.txt", inbox / "a.zip"):
        path.write_text("x")
    taken = take(inbox, [inbox / name for name in ("good.txt", "bad.txt", "notes", "a.zip")])
    feed = feed_of(MODEL, taken)
    refusals = [
        Refusal(shown_source(f"{taken}/bad.txt", taken), "binary", "It holds NUL bytes."),
        Refusal("inbox/notes/empty.txt", "empty", "It holds no text."),
        Refusal("inbox/a.zip!/one.txt", "empty", "It holds no text."),
        Refusal("inbox/a.zip!/two.txt", "empty", "It holds no text."),
        Refusal("inbox/good.txt", "duplicate", "The same text is already here."),
    ]
    settle(taken, refusals)
    settle(taken, refusals)  # after a kill at the end
    aside = inbox / "refused"
    kept = sorted(str(path.relative_to(aside)) for path in aside.rglob("*") if path.is_file())
    expected = ["a.zip", "bad.txt", "notes/empty.txt"]
    assert kept == sorted([*expected, *(f"{name}.reason.txt" for name in expected)])
    assert (aside / "bad.txt.reason.txt").read_text() == "inbox/bad.txt: It holds NUL bytes. (binary)\n"
    assert len((aside / "a.zip.reason.txt").read_text().splitlines()) == 2
    assert not taken.exists()
    assert feed.payload["paths"] == [str(taken)]


def test_a_second_refused_file_of_the_same_name_does_not_replace_the_first(inbox):
    for text in ("first", "second"):
        (inbox / "bad.txt").write_text(text)
        settle(take(inbox, [inbox / "bad.txt"]), [Refusal("inbox/bad.txt", "empty", "It holds no text.")])
    assert [(inbox / "refused" / name).read_text() for name in ("bad.txt", "again-bad.txt")] == ["first", "second"]


def test_what_a_discarded_feed_had_taken_comes_back_with_the_reason(workspace, inbox, clock):
    (inbox / "a.txt").write_text("a")
    take(inbox, [inbox / "a.txt"])
    with Ledger.open(workspace) as ledger:
        (feed,) = Inboxes(workspace, clock).look()
        ledger.discard(ledger.submit(feed).id)
        assert ledger.submit(feed).state == "cancelled"
    put_aside(feed, "It was discarded.")
    assert (inbox / "refused" / "a.txt").read_text() == "a"
    assert (inbox / "refused" / "a.txt.reason.txt").read_text() == "It was discarded.\n"
    assert inbox_state(inbox).taken == 0


def test_a_model_without_an_inbox_has_no_state(workspace):
    assert inbox_state(inbox_of(workspace, "m-none")) is None


def test_looks_are_cheap_between_the_seconds(inbox, inboxes, clock):
    (inbox / "a.txt").write_text("a")
    for _ in range(100):
        assert list(inboxes.look()) == []
        clock.now += 0.005
    assert inboxes.unsettled
