"""The frontier's own promises; what a crawl makes of it is tested against a server (integration/test_crawling.py)."""

import tracemalloc

from treadle.data.crawl.fetching import Answer
from treadle.data.crawl.frontier import Frontier
from treadle.data.crawl.rules import Boundaries

PAGES = 2_000


def test_kept_pages_are_exported_in_order_a_few_at_a_time(quick_folder):
    seeds = tuple(f"http://a.org/{number:04}/{'x' * 1_500}" for number in range(PAGES))
    answer = Answer(200, {}, "text/html", b"page")
    with Frontier(quick_folder) as frontier:
        frontier.begin(Boundaries(seeds[:1], "host", (), (), (), 1, 2_000, 5_000), 0.0)
        with frontier.answering():
            frontier.add(seeds, 0, None, Boundaries(seeds, "host", (), (), (), 1, 2_000, 5_000))
            host = frontier.hosts()[0].id
            for page in frontier.candidates(host, 1.0, PAGES, new=True):
                frontier.settle_kept(page, answer, "0" * 64, (), 1.0)
    with Frontier(quick_folder, read_only=True) as frontier:
        tracemalloc.start()
        number = -1
        for number, row in enumerate(frontier.export()):
            assert row["url"] == seeds[number]
            assert "id" not in row
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert number == PAGES - 1
    assert peak < PAGES * 1_500 / 2
