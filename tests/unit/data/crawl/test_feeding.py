import time

import pytest

from treadle.data.crawl.documents import PageReader
from treadle.data.crawl.feeding import Feeding
from treadle.data.crawl.fetching import Answer
from treadle.data.crawl.frontier import Frontier
from treadle.data.crawl.rules import Boundaries
from treadle.data.document import Document
from treadle.data.readers.config import ReadSettings
from treadle.data.readers.sandbox import Work
from treadle.data.versions import DatasetVersions
from treadle.store.objects import ObjectStore

URL = "http://a.org/"


@pytest.fixture
def room(quick_folder):
    """A frontier with one kept page, and a dataset."""
    objects = ObjectStore(quick_folder / "objects")
    versions = DatasetVersions(quick_folder / "data", objects)
    boundaries = Boundaries((URL,), "host", (), (), (), 3)
    with Frontier(quick_folder / "crawl") as frontier:
        frontier.begin(boundaries, time.time())
        page = frontier.candidates(frontier.host("http://a.org").id, time.time(), 5, new=True)[0]
        answer = Answer(200, {}, "text/html", b"<p>Hello.</p>")
        with frontier.answering():
            frontier.settle_kept(page, answer, objects.put(answer.body), [], time.time())
        yield frontier, versions, PageReader(objects, Work(ReadSettings(html="all")), "test")


def interrupted(room, after):
    """As a process leaves it that was killed while it stored a batch."""
    frontier, versions, reader = room
    pages = frontier.unfed(-1, 9)
    frontier.remember("feeding", {"after": after, "pages": [[page.id, page.place, page.url] for page in pages]})
    return Feeding(frontier, versions, reader, versions.add, drop_chrome=False)


def test_a_batch_that_was_stored_before_the_kill_is_not_given_again(room):
    frontier, versions, _ = room
    versions.add([Document.from_text("earlier", "file")])
    versions.add([Document.from_text("Hello.", URL)])
    with interrupted(room, after=1) as feeding:
        assert frontier.counts().unfed == 0
        assert feeding.fed.accepted == 1
        feeding.finish(lambda: False, all_of_it=True)
    assert versions.numbers() == [1, 2]


def test_a_batch_that_was_not_stored_is_given_though_others_fed_meanwhile(room):
    frontier, versions, reader = room
    versions.add([Document.from_text("of somebody else", "file")])
    with reader, interrupted(room, after=0) as feeding:
        assert frontier.counts().unfed == 1
        feeding.finish(lambda: False, all_of_it=True)
        assert (feeding.fed.accepted, frontier.counts().unfed) == (1, 0)
    assert [entry.source for entry in versions.latest().entries()] == ["file", URL]
    assert frontier.fact("feeding") is None
