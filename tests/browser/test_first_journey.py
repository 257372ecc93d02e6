"""The first hour in a browser: from an empty workspace to live text; a reload and a second browser see the same."""

import re

import pytest


def test_from_an_empty_workspace_to_live_text_in_three_clicks(open_page, empty_server):
    from playwright.sync_api import expect

    page = open_page(empty_server)
    expect(page.get_by_role("heading", name="Teach a model something")).to_be_visible()
    page.get_by_label("Train for").fill("0.4")
    page.get_by_role("button", name="Start the demo").click()  # the first click, and the last
    running = page.locator("article.running", has=page.get_by_role("link", name="bard"))
    expect(running.locator("dd").first).to_have_text(re.compile(r"\d\.\d{3} nats"), timeout=60_000)
    expect(running.locator(".sample")).to_contain_text("Step", timeout=90_000)

    second = open_page(empty_server)  # another browser: the same run, with its history
    there = second.locator("article.running", has=second.get_by_role("link", name="bard"))
    expect(there.locator("dd").first).to_have_text(re.compile(r"\d\.\d{3} nats"), timeout=30_000)
    page.reload()
    expect(running.locator("dd").first).to_have_text(re.compile(r"\d\.\d{3} nats"), timeout=30_000)

    for one in (page, second):  # both see the end by themselves
        expect(one.get_by_role("table")).to_contain_text("bard", timeout=90_000)
        expect(one.locator("#last ~ ul .badge").first).to_have_text("done", timeout=90_000)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_opens_without_a_fault_on_wide_and_narrow_screens(open_page, server, scheme, tmp_path):
    page = open_page(server, color_scheme=scheme)
    addresses = page.locator("nav a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert addresses[0] == "/"
    for address in addresses:
        for size in ({"width": 1280, "height": 800}, {"width": 390, "height": 844}):
            page.set_viewport_size(size)
            page.goto(server + address)
            page.wait_for_load_state("load")
            assert page.locator("main h1").count() == 1, address
            wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wider <= 0, f"{address} is {wider} px wider than a screen of {size['width']} px"
