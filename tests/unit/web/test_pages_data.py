"""The pages of the data, without a browser."""

import pytest

from treadle.data.crawl.frontier import Frontier
from treadle.data.crawl.rules import Boundaries
from treadle.data.document import Document, Refusal
from treadle.operations.api import Workspace
from treadle.recipes.datasets import open_named
from treadle.store.crawls import CrawlCard, CrawlCards, now

PROBE = "<script>alert(1)</script>"
TEXT = "The quick brown fox jumps over the lazy dog, and then it rests beside the river for a while.\n"


@pytest.fixture
def letters(workspace):
    """A dataset with two versions; nothing of it was read from a file, so no process was needed."""
    Workspace(workspace.root).data_new("letters")
    named = open_named(workspace, "letters")
    named.add(
        [
            Document.from_text(f"{TEXT * 9}first", f"/in/{PROBE}.txt"),
            Refusal("/in/broken.pdf", "damaged", "It ends in the middle."),
        ]
    )
    named.add([Document.from_text(f"{TEXT * 7}second", "/in/two.txt")])
    return "letters"


def test_an_empty_workspace_says_where_text_may_go(client):
    text = client.get("/data").text
    assert "Nothing to put text into yet" in text
    assert "dropZone" not in text


def test_the_data_shows_datasets_and_what_models_were_fed(client, workspace, letters):
    Workspace(workspace.root).new("bard", size="nano")
    text = client.get("/data").text
    assert '<option value="model:bard"' in text
    assert '<option value="dataset:letters"' in text
    assert 'href="/data/sets/letters/report"' in text


def test_a_dataset_shows_versions_refusals_and_differences(client, letters):
    text = client.get("/data/sets/letters?first=1&second=2").text
    assert "It ends in the middle." in text
    assert "damaged: 1" in text
    assert "Version 1 against 2" in text
    assert "/in/two.txt" in text
    assert PROBE not in text
    assert 'data-operation="data.tag"' in text
    assert client.get("/data/sets/nothing").status_code == 404
    assert client.get("/data/sets/letters?first=1&second=9").status_code == 404


def test_the_quality_report_is_a_page_with_pictures(client, letters):
    text = client.get("/data/sets/letters/report").text
    assert "Quality of letters" in text
    assert text.count("<svg viewBox") >= 2
    assert "style=" not in text, "the pages allow no styles inside elements"
    assert PROBE not in text


def test_without_a_trained_model_the_pages_of_generation_lead_to_training(client, workspace):
    Workspace(workspace.root).new("bard", size="nano")
    for address in ("/generate", "/generate/chat", "/generate/inspect"):
        text = client.get(address).text
        assert 'href="/train"' in text
        assert 'src="/static/pages/generate' not in text


def test_a_model_without_data_has_no_report_yet(client, workspace):
    Workspace(workspace.root).new("bard", size="nano")
    text = client.get("/data/sets/bard").text
    assert "It has no version yet" in text
    assert "no version" in client.get("/data/sets/bard/report").text


def test_the_preview_offers_the_settings_of_datasets(client, letters):
    text = client.get("/data/preview").text
    assert '<option value="letters"' in text
    assert 'name="near_duplicates"' in text
    assert 'name="check"' not in text


def test_a_crawl_shows_its_frontier_and_its_rules(client, call, workspace, letters):
    seeds = ("https://docs.example.org/",)
    card = CrawlCard("docs", now(), seeds, None, letters, False, {})  # noqa: FBT003
    cards = CrawlCards(workspace)
    cards.keep(card)
    call("crawl.rules", action="add", value="path:/private/")
    assert call("crawl.pages", name="docs")["pages"] == [], "its first moment"
    with Frontier(cards.folder(card)) as frontier:
        boundaries = Boundaries(seeds, "host", (), (), (), 8, 2000, 5000)
        frontier.begin(boundaries, 1.0)
        host = frontier.host("https://docs.example.org").id
        (page,) = frontier.candidates(host, 2.0, 9, new=True)
        with frontier.answering():
            frontier.settle_failed(page, "failed", "not_found", 3.0, 404)
            frontier.add([f"https://docs.example.org/{PROBE}", "https://docs.example.org/b"], 1, page.id, boundaries)
    text = client.get("/data/crawls/docs").text
    assert "https://docs.example.org/b" in text
    assert "found on https://docs.example.org/" in text
    assert PROBE not in text
    assert "<code>path:/private/</code>" in text
    failed = client.get("/data/crawls/docs?which=failed").text
    assert "(not found)" in failed
    assert "docs.example.org/b" not in failed.split('id="frontier"')[1]
    assert client.get("/data/crawls/docs?which=nonsense").status_code == 200
    rows = call("crawl.pages", name="docs", which="asked")["pages"]
    assert [(row["state"], row["status"], row["pending"]) for row in rows] == [("failed", 404, False)]
    assert client.post("/api/v1/operations/crawl.pages", json={"name": "docs", "count": 0}).status_code == 422
    assert 'href="/data/crawls/docs"' in client.get("/data/crawl").text


def test_a_viewer_sees_the_data_and_adds_nothing(letters, logged_in):
    vic = logged_in("vic")
    for address in ("/data", "/data/sets/letters", "/data/crawl"):
        text = vic.get(address).text
        assert "data-operation" not in text
        assert "data-call" not in text
        assert 'type="file"' not in text
        assert "Begin the crawl" not in text
    assert [vic.get(address).status_code for address in ("/data/preview", "/data/new")] == [403, 403]
