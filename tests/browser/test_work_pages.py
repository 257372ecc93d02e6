"""Work in a browser: the queue is moved by mouse and keys, files arrive, models write, notes are kept."""

import json
import re

import pytest

from treadle.jobs.job import NewJob
from treadle.jobs.ledger import Ledger
from treadle.jobs.ledger_changes import Target
from treadle.operations.api import Workspace
from treadle.store.workspace import WorkspaceFolder

QUEUE = "model:m-work"
PROBE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def ledger(lab):
    """Four jobs in a paused queue of their own, so that nothing of them begins."""
    with Ledger.open(WorkspaceFolder(lab)) as opened:
        opened.make_queue(QUEUE)
        opened.pause(QUEUE)
        for number in range(1, 5):
            opened.submit(NewJob(QUEUE, "train", {"model": "m-work", "unit": "minutes", "amount": number}))
        yield opened
        for job in opened.jobs(QUEUE, ["ready", "blocked"]):
            opened.stop(job.id)


def order(ledger):
    return [job.payload["amount"] for job in ledger.jobs(QUEUE, ["ready"])]


def test_the_queue_is_reordered_by_mouse_keys_and_buttons(open_page, server, ledger):
    from playwright.sync_api import expect

    page = open_page(f"{server}/queue")
    first, second, third, fourth = (job.id for job in ledger.jobs(QUEUE, ["ready"]))
    places = page.locator("section.queue", has_text="m-work").locator("tr[data-job]")
    expect(places).to_have_count(4)

    def shown(*jobs):
        for place, job in enumerate(jobs):
            expect(places.nth(place)).to_have_id(f"job-{job}", timeout=20_000)
            expect(places.nth(place).locator(".number")).to_have_text(
                str(place + 1), timeout=20_000
            )  # the server says so

    page.locator(f"#job-{fourth} .grip").drag_to(page.locator(f"#job-{first} .grip"), target_position={"x": 4, "y": 2})
    shown(fourth, first, second, third)
    assert order(ledger) == [4, 1, 2, 3]
    page.locator(f"#job-{third}").focus()
    page.keyboard.press("ArrowUp")
    shown(fourth, first, third, second)
    expect(page.locator(f"#job-{third}")).to_be_focused()
    page.get_by_role("button", name=f"Move job {fourth} down").click()
    shown(first, fourth, third, second)
    assert order(ledger) == [1, 4, 3, 2]

    page.get_by_role("button", name=f"Hold job {first}").click()
    expect(page.locator(f"#job-{first}")).to_contain_text("held")
    page.get_by_role("button", name=f"Release job {first}").click()
    shown(first, fourth, third, second)
    page.get_by_role("button", name=f"Remove job {second}").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    shown(first, fourth, third)
    ledger.move(third, Target(place=1))
    shown(third, first, fourth)  # the page heard of it by itself

    page.goto(f"{server}/queue/{first}")
    page.get_by_label("Attempts").fill("3")
    with page.expect_navigation():
        page.get_by_role("button", name="Change", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("ready")
    assert ledger.get(first).max_attempts == 3


def test_files_arrive_and_an_interrupted_transfer_goes_on(open_page, server, lab, tmp_path):
    from playwright.sync_api import expect

    Workspace(lab).data_new("letters")
    page = open_page(f"{server}/data", expected=["ERR_", "Failed to load resource"])
    page.get_by_label("Into").select_option("model:bard")
    small = tmp_path / "letter.txt"
    small.write_text(f"A letter that nobody has read before. {PROBE}\n" * 20)
    page.locator("#files").set_input_files(small)
    row = page.locator("#sending li").first
    expect(row).to_contain_text("1 taken", timeout=60_000)

    large = tmp_path / "large.bin"
    large.write_bytes(bytes(9_000_000))
    pieces = []

    def counted(route):
        if route.request.method != "PATCH":
            route.continue_()
            return
        offset = int(route.request.headers["upload-offset"])
        pieces.append(offset)
        if len(pieces) in {2, 3}:
            route.abort()  # the line is cut in the middle
        else:
            route.continue_()

    page.route("**/api/v1/uploads/u-*", counted)
    page.get_by_label("Into").select_option("dataset:letters")
    page.locator("#files").set_input_files(large)
    expect(page.locator("#sending li").nth(1)).to_contain_text("sent", timeout=60_000)
    assert pieces[0] == 0
    assert pieces.count(0) == 1, "it went on where it was"
    assert pieces[-1] > 8_000_000
    page.unroute_all()

    page.goto(f"{server}/data/preview")
    page.locator("#files").set_input_files(small)
    card = page.locator("#shown .card")
    expect(card).to_contain_text("kept", timeout=60_000)
    expect(card.locator("pre").first).to_contain_text(PROBE)
    page.goto(f"{server}/data/sets/bard/report")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Quality of bard")
    page.goto(f"{server}/data/crawl")
    page.get_by_label("New rule").fill("domain:ads.example")
    page.get_by_role("button", name="Add the rule").click()
    expect(page.locator("#rules")).to_contain_text("domain:ads.example")
    page.get_by_label("Address", exact=True).last.fill("https://x.ads.example/")
    page.get_by_role("button", name="Test").click()
    expect(page.locator("#rule-verdict")).to_contain_text("is not asked for: domain:ads.example")


def test_a_folder_is_dropped_and_a_site_crawled(open_page, server, lab, tmp_path, site):
    from playwright.sync_api import expect

    Workspace(lab).data_new("diary")
    folder = tmp_path / "letters"
    (folder / "1999").mkdir(parents=True)
    for name in ("a.txt", "1999/b.txt"):
        (folder / name).write_text(f"A letter called {name}, which nobody has read before.\n" * 20)
    page = open_page(f"{server}/data")
    page.get_by_label("Into").select_option("dataset:diary")
    box = page.locator("#drop").bounding_box()
    drag = page.context.new_cdp_session(page)
    place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + 20}
    data = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        drag.send("Input.dispatchDragEvent", {"type": kind, **place, "data": data})
    expect(page.locator("#sending li")).to_contain_text("2 files")
    expect(page.locator("#sending li")).to_contain_text("2 taken", timeout=60_000)

    text = "<p>What stands on this page is long enough to be taken for a text, and it says something.</p>" * 5
    site.pages["/"] = f"<title>Start</title><h1>Start</h1>{text}<a href='/two'>on</a>".encode()
    site.pages["/two"] = f"<title>Two</title><h1>Two</h1>{text[:300]}".encode()
    page.goto(f"{server}/data/crawl")
    page.get_by_label("Address", exact=True).first.fill(site.url)
    page.get_by_label("Into").select_option("dataset:diary")
    page.get_by_label("Rate").fill("20")
    page.get_by_text("More settings").click()
    page.get_by_label("Allow private").check()
    page.get_by_role("button", name="Begin the crawl").click()
    page.wait_for_url("**/data/crawls/*")
    expect(page.locator("#crawl-state .badge")).to_have_text("complete", timeout=60_000)
    expect(page.locator("#crawl-state")).to_contain_text("into dataset diary")
    assert {request.path for request in site.log} >= {"/robots.txt", "/", "/two"}


def test_two_columns_write_from_the_same_prompt_and_seed(open_page, server):
    from playwright.sync_api import expect

    page = open_page(f"{server}/generate?model=bard")
    page.get_by_label("Prompt").fill("To be")
    page.get_by_label("Seed").fill("7")
    page.get_by_role("button", name="Compare side by side").click()
    columns = page.locator("[data-side]:visible")
    expect(columns).to_have_count(2)
    for column in (columns.first, columns.last):
        column.get_by_label("Tokens").fill("24")
    columns.last.get_by_label("Temperature").fill("0.1")
    page.get_by_role("button", name="Write", exact=True).click()
    for column in (columns.first, columns.last):
        expect(column.locator("[data-facts]")).to_contain_text("24 tokens (length) · seed 7", timeout=60_000)
        expect(column.locator(".written .token")).to_have_count(24)
    columns.first.locator(".token").nth(3).hover()
    expect(columns.first.locator("[data-details] table tr")).to_have_count(5)
    columns.first.locator(".written").focus()
    page.keyboard.press("End")
    expect(columns.first.locator(".token").last).to_have_class(re.compile("current"))

    written = columns.first.locator("[data-text]").inner_text()
    page.reload()
    page.locator("#history button").first.click()
    expect(page.get_by_label("Seed")).to_have_value("7")
    expect(columns).to_have_count(2)
    expect(columns.last.get_by_label("Temperature")).to_have_value("0.1")
    page.get_by_role("button", name="Write", exact=True).click()
    expect(columns.first.locator(".written .token")).to_have_count(24, timeout=60_000)
    assert columns.first.locator("[data-text]").inner_text() == written, "the same seed and settings, the same text"

    page.goto(f"{server}/generate/chat")
    page.get_by_label("Tokens").fill("12")
    page.get_by_label("Message").fill("To be")
    page.keyboard.press("Enter")
    expect(page.locator(".turn.answer")).to_have_attribute("aria-busy", "false", timeout=60_000)
    expect(page.locator(".turn.mine")).to_have_text("To be")
    assert page.locator(".turn.answer").inner_text() != ""

    page.goto(f"{server}/generate/inspect")
    page.get_by_label("Text", exact=True).fill("To be")
    page.get_by_role("button", name="Inspect").click()
    expect(page.locator("#read .token")).to_have_count(5, timeout=60_000)
    expect(page.locator("#facts")).to_contain_text("nats/token")


def test_the_notes_are_kept_on_the_board(open_page, server):
    from playwright.sync_api import expect

    page = open_page(f"{server}/flow")
    page.get_by_role("button", name="Make the folder of notes").click()
    page.get_by_label("New task").fill(f"Read {PROBE}")
    page.get_by_label("Priority", exact=True).first.select_option("high")
    page.get_by_role("button", name="Add the task").click()
    task = page.locator(".task", has_text="Read")
    expect(task).to_contain_text(PROBE)
    task.locator(".grip").drag_to(page.locator('[data-column="going"]'))
    going = page.locator('[data-column="going"] .task')
    expect(going).to_contain_text("Read")
    page.get_by_role("button", name="Reword").click()
    page.get_by_label("Title of the task").fill("Read the plays")
    page.keyboard.press("Enter")
    expect(going.get_by_role("link")).to_have_text("Read the plays")
    page.get_by_label("Priority of Read the plays").select_option("critical")
    expect(going).to_have_class(re.compile("is-critical"))
    page.get_by_label("Move Read the plays to").select_option("done")
    page.get_by_label("What shows it?").fill("r-1")
    page.get_by_role("button", name="Go on").click()
    expect(page.locator('[data-column="done"] .task')).to_contain_text("Read the plays")

    page.goto(f"{server}/flow/log")
    expect(page.locator(".log-entries")).to_contain_text("Done: Read the plays")
    page.get_by_label("What happened").fill(f"**Bold** {PROBE}")
    page.get_by_role("button", name="Write it down").click()
    expect(page.locator(".log-entries strong")).to_have_text("Bold")
    for address in ("/flow/findings", "/flow/read", "/flow/read?path=README.md"):
        page.goto(server + address)
        expect(page.get_by_role("heading", level=1).first).to_be_visible()
    assert json.loads(page.evaluate("JSON.stringify(document.querySelectorAll('main img').length)")) == 0
