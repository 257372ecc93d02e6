"""The pages of training in a browser: live curves, steering, runs side by side, models as things, the machine."""

import re

import pytest

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect
PATIENCE = 60_000


def step_of(page):
    """The step that the page of training shows."""
    return int(re.match(r"[\d,]+", page.locator("#live-step").inner_text())[0].replace(",", ""))


def drawn(page):
    """How many pixels of the picture are not empty."""
    return page.evaluate(
        """() => {
          const canvas = document.querySelector(".plot canvas");
          const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
          let count = 0;
          for (let at = 3; at < data.length; at += 4) count += data[at] > 0;
          return count;
        }"""
    )


def test_a_training_is_begun_watched_in_two_tabs_paused_continued_and_stopped(open_page, server, lab):
    page = open_page(f"{server}/train?model=bard")
    expect(page.get_by_role("heading", name="Train bard")).to_be_visible()
    expect(page.locator(".legend li")).to_have_count(1)
    requests = page.evaluate("performance.getEntriesByType('resource').map((one) => one.name)")
    asked = {one.partition("?")[0] for one in requests} - {f"{server}/api/v1/events", f"{server}/train"}
    assert len(asked) + 2 <= 12, (
        f"with the page, which an event may fetch again, and its stream of events: {sorted(asked)}"
    )
    assert drawn(page) > 1000
    page.get_by_label("How long").select_option(label="Minutes")
    page.get_by_label("Amount").fill("9")
    page.get_by_text("Settings of this training").click()
    page.get_by_label("Find a setting").fill("width")
    fixed = page.locator('[name="family.width"]')
    expect(fixed).to_be_disabled()
    expect(page.locator(".field", has=fixed)).to_contain_text("Cannot be changed: the shape of the weights is fixed")
    page.get_by_label("Find a setting").fill("sample every")
    page.locator('[name="training.sample_every"]').fill("50")
    expect(page.get_by_text("1 changed")).to_be_visible()
    page.get_by_role("button", name="Train on").click()
    expect(page.get_by_role("heading", name=re.compile("Training now"))).to_be_visible(timeout=PATIENCE)
    expect(page.locator(".legend li")).to_have_count(2, timeout=PATIENCE)
    page.wait_for_function(
        "() => parseInt(document.getElementById('live-step').textContent.replace(',', '')) > 70", timeout=PATIENCE
    )

    other = open_page(f"{server}/train?model=bard")
    expect(other.get_by_role("heading", name=re.compile("Training now"))).to_be_visible()
    expect(other.locator(".legend li")).to_have_count(2, timeout=PATIENCE)
    before = step_of(page)
    for tab in (page, other):
        tab.wait_for_function(
            "(before) => parseInt(document.getElementById('live-step').textContent.replace(',', '')) > before",
            arg=before,
            timeout=PATIENCE,
        )
        expect(tab.locator("#live-eta_seconds")).to_contain_text(":")
    expect(page.locator("[data-sample-text]")).to_be_visible(timeout=PATIENCE)

    page.get_by_role("button", name="Pause").click()
    expect(other.get_by_role("button", name="Continue")).to_be_visible(timeout=PATIENCE)
    page.reload()
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("button", name="Stop and keep")).to_be_visible(timeout=PATIENCE)
    paused_at = step_of(other)
    other.wait_for_function(
        "(before) => parseInt(document.getElementById('live-step').textContent.replace(',', '')) > before",
        arg=paused_at,
        timeout=PATIENCE,
    )
    other.get_by_role("button", name="Stop and keep").click()
    expect(page.get_by_role("button", name="Go on with it")).to_be_visible(timeout=PATIENCE)
    runs = sorted((lab / "runs").glob("*/curves"))
    assert len(runs) == 2  # the pause and what followed are one run, with one curve

    slider = page.locator("#samples-step")
    expect(slider).to_be_visible(timeout=PATIENCE)
    newest = page.locator("[data-sample-step]").inner_text()
    slider.focus()
    slider.press("Home")
    expect(page.locator("[data-sample-step]")).not_to_have_text(newest)


def test_runs_are_compared_drawn_by_other_measures_and_traced(open_page, server):
    page = open_page(f"{server}/runs?kind=train")
    boxes = page.get_by_role("checkbox", name=re.compile("^Draw bard"))
    page.get_by_role("button", name="Draw all").click()
    expect(page.locator(".legend li")).to_have_count(boxes.count())
    if boxes.count() > 1:
        expect(page.locator("#comparison")).to_contain_text("training.sample_every")
    page.get_by_label("Curve", exact=True).select_option(label="Speed")
    page.get_by_label("Along").select_option(label="Time")
    expect(page.locator(".plot")).to_have_attribute("aria-label", re.compile("per second of"))
    assert drawn(page) > 1000
    page.get_by_label("Along").select_option(label="Steps")
    page.get_by_label("From step").fill("10")
    page.get_by_label("From step").press("Tab")
    page.get_by_role("button", name="Show all of it").click()
    expect(page.get_by_label("From step")).to_have_value("")
    page.get_by_role("button", name="Draw none").click()
    expect(page.get_by_text("Choose runs below.")).to_be_visible()
    page.get_by_role("link", name="60 steps").click()
    expect(page.get_by_role("heading", name=re.compile("Train of bard"))).to_be_visible()
    expect(page.get_by_role("heading", name="What was asked")).to_be_visible()
    page.goto(f"{server}/runs/lineage")
    expect(page.locator("#graph svg .kind-model").first).to_be_visible()
    expect(page.get_by_role("cell", name=re.compile("^training, 60 steps")).first).to_be_visible()


def test_a_model_is_made_set_copied_renamed_and_deleted(open_page, server):
    page = open_page(f"{server}/models", expected=("status of 422",))  # a name that is taken
    page.get_by_label("Name", exact=False).first.fill("sonnet")
    page.get_by_label("Size").select_option("nano")
    page.get_by_role("button", name="Make it").click()
    page.wait_for_url("**/data?model=sonnet")
    page.goto(f"{server}/models?model=sonnet")
    page.get_by_label("Find a setting").fill("batch size")
    page.locator('[name="training.batch_size"]').fill("7")
    page.get_by_role("button", name="Keep the changes").click()
    expect(page.get_by_text("1 setting kept with sonnet.")).to_be_visible()
    page.wait_for_function("() => document.querySelector('[name=\"training.batch_size\"]').defaultValue === '7'")
    page.get_by_label("Name of the copy").fill("ode")
    page.get_by_role("button", name="Copy").click()
    page.wait_for_url("**/models?model=ode")
    page.get_by_label("New name").fill("bard")
    page.get_by_role("button", name="Rename").click()
    expect(page.get_by_text("A model named `bard` exists already", exact=False)).to_be_visible()
    page.get_by_label("New name").fill("elegy")
    page.get_by_role("button", name="Rename").click()
    page.wait_for_url("**/models?model=elegy")
    page.get_by_role("button", name="Delete elegy").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete elegy").click()
    page.wait_for_url("**/models")
    expect(page.get_by_role("heading", name="elegy")).to_have_count(0)


def test_the_machine_is_watched_and_its_disk_cleaned_up(open_page, server, lab):
    page = open_page(f"{server}/system", color_scheme="dark")
    expect(page.locator(".plot canvas")).to_be_visible()
    assert drawn(page) > 500
    page.get_by_role("button", name="Clean up packed").click()
    page.get_by_role("dialog").get_by_role("button", name="Clean up").click()
    expect(page.get_by_text(re.compile("^Removed .* of `packed`"))).to_be_visible()
    assert list((lab / "models").glob("m-*/checkpoints/*/packed-*")) == []
    page.get_by_text("What can be plugged in").click()
    expect(page.get_by_text("treadle.tokenizer")).to_be_visible()


def test_the_inner_pages_fit_a_narrow_screen(open_page, server):
    page = open_page(f"{server}/models", viewport={"width": 390, "height": 844}, color_scheme="dark")
    for path in ("/models?model=bard", "/runs/lineage"):
        page.goto(server + path)
        expect(page.locator("main h1").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path


def test_a_digit_is_drawn_and_recognised(open_page, server, lab):
    pytest.importorskip("torch", reason="the extra `torch` is not installed")
    pytest.importorskip("PIL", reason="the extra `images` is not installed")
    import treadle

    workspace = treadle.Workspace(lab)
    workspace.new("digits", family="image_classifier", size="nano")
    workspace.feed("digits", ["bundled:digits"])
    workspace.train("digits", ["training.evaluate_every=0", "training.batch_size=8"], steps=8)
    page = open_page(f"{server}/models?model=digits")
    page.get_by_role("button", name="What is it?").click()
    expect(page.get_by_text("Draw something first, or choose a picture.")).to_be_visible()
    box = page.locator("#draw canvas").bounding_box()
    page.mouse.move(box["x"] + 140, box["y"] + 30)
    page.mouse.down()
    for place in range(30, 251, 20):
        page.mouse.move(box["x"] + 140, box["y"] + place)
    page.mouse.up()
    page.get_by_role("button", name="What is it?").click()
    expect(page.locator("#draw-answer strong")).to_have_text(re.compile(r"^\d$"), timeout=PATIENCE)
    assert page.locator("#draw-answer .shares svg").count() == 5
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#draw-answer strong")).to_have_count(0)
