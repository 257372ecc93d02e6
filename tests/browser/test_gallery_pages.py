"""Prompts and results in a browser: written by questions, changed, compared; rated with keys, divided by a slider."""

import re
from fractions import Fraction
from pathlib import Path

import pytest

from treadle.jobs.runs import create_run
from treadle.operations.api import Workspace
from treadle.store.workspace import WorkspaceFolder

np = pytest.importorskip("numpy", reason="numpy is not installed")
pytest.importorskip("av", reason="PyAV is not installed (extra `video`)")
expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect

AXE = Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js"
TEXT = "A wet street at dusk, warm lamps on the walls, people with umbrellas walk along the windows of the shops."
PROBE = "<img src=x onerror=alert(1)>"


APART = """async () => {
  const [first, second] = document.querySelectorAll('#beside video');
  document.getElementById('play').click();
  const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));
  for (let turns = 0; second.paused && turns < 200; turns++) await pause(0.1);
  first.currentTime = (second.currentTime + 0.6) % second.duration;
  await pause(1);  // what lies apart is made good
  const apart = [];
  for (let turns = 0; turns < 20; turns++) {
    await pause(0.1);
    if (!first.seeking && second.currentTime > 0.3) apart.push(Math.abs(first.currentTime - second.currentTime));
  }
  document.getElementById('play').click();
  return apart.sort((one, other) => one - other)[Math.floor(apart.length * 0.75)];
}"""
"""How far original and result lie apart while they play, in seconds; the machine may be busy for a moment."""


def clip(file, hue, made_by=None):
    from treadle.video.frames import FrameWriter

    slope = np.linspace(0, 200, 160, dtype=np.uint8)
    with FrameWriter(file, Fraction(12), made_by=made_by) as writer:
        for number in range(18):
            frame = np.zeros((96, 160, 3), np.uint8)
            frame[:, :, hue] = np.roll(slope, 6 * number)
            frame[:, :, 1] += 40
            writer.write(frame)
    return file


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """A workspace with a prompt, and the results of a run that was made from it."""
    workspace = Workspace.create(tmp_path_factory.mktemp("studio") / "lab")
    source = clip(workspace.root / "street.mp4", 2)
    workspace.prompt_new("dusk", TEXT, input=[f"video={source}"], set=["edge=0.6"], tag=["street"])
    asked = workspace.prompt_show("dusk")
    prompt = {key: getattr(asked, key) for key in ("name", "version", "purpose", "text", "negative", "settings")}
    prompt["inputs"] = asked.inputs
    folder = create_run(WorkspaceFolder(workspace.root), "video.match", {"sources": [str(source)]})
    made = {"tool": "transfer run", "sources": [], "options": {}, "prompt": prompt}
    for name, hue in (("warm.mp4", 0), ("cold.mp4", 2), (f"{PROBE.replace('/', '_')}.mp4", 1)):
        clip(folder.outputs / name, hue, made)
    folder.write_result({"outcome": "done", "value": {}})
    return workspace


@pytest.fixture(scope="module")
def address(studio, serve_workspace):
    with serve_workspace(studio.root) as address:
        yield address


def barriers(page):
    page.evaluate(AXE.read_text(encoding="utf-8"))
    told = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    serious = [one for one in told if one["impact"] in {"serious", "critical"}]
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in serious]


def test_a_prompt_is_made_by_questions_changed_and_compared(open_page, address, studio, tmp_path):
    page = open_page(f"{address}/prompts", color_scheme="dark")
    page.get_by_role("link", name="City street").click()
    before = page.locator("#preview-text").inner_text()
    page.get_by_label("What time of day is it?").fill(f"high noon {PROBE}")
    expect(page.locator("#preview-text")).to_contain_text(f"high noon {PROBE}")
    assert page.locator("#preview-text").inner_text() != before
    expect(page.locator("#preview-remarks")).to_contain_text("It needs a video")
    page.get_by_label("Send a file").set_input_files(studio.root / "street.mp4")
    expect(page.locator("[data-rows]")).to_contain_text("street.mp4")
    expect(page.locator("#preview-remarks")).not_to_contain_text("It needs a video")
    assert barriers(page) == []
    page.get_by_label("Name").fill("noon")
    page.get_by_role("button", name="Keep the prompt").click()
    page.wait_for_url("**/prompts/stored/noon")
    expect(page.get_by_role("heading", level=1)).to_contain_text("noon version 1")
    page.get_by_role("button", name="What it comes to").click()
    expect(page.locator("#comes-to")).to_contain_text("121 frames are made")
    assert barriers(page) == []
    assert studio.prompt_show("noon").inputs[0]["path"].startswith(str(studio.root / "uploads"))

    text = page.get_by_role("textbox", name="Text", exact=True)
    text.fill("A dry street. " * 200)
    expect(page.locator("#edit-prompt [data-length]")).to_have_class(re.compile("over"))
    text.fill("A dry street at noon, hard shadows.")
    page.locator("#edit-settings summary").click()
    page.get_by_label("Seed").fill("7")
    page.get_by_label("Its own (empty = nothing)").check()
    page.get_by_label("Its own negative text").fill("fog")
    page.get_by_role("button", name="Keep as a new version").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("version 2")
    kept = studio.prompt_show("noon")
    assert (kept.text, kept.negative, kept.settings["seed"]) == ("A dry street at noon, hard shadows.", "fog", 7)
    page.get_by_role("button", name="Compare").click()
    expect(page.locator(".diff .come").first).to_have_text(re.compile("^.A dry street at noon"))
    expect(page.locator(".diff")).to_contain_text("+seed = 7")
    assert barriers(page) == []
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_results_are_rated_with_keys_compared_and_recalled(open_page, address, studio):
    page = open_page(f"{address}/gallery")
    tiles = page.locator(".tile")
    expect(tiles).to_have_count(3)
    page.wait_for_function("() => [...document.querySelectorAll('.tile img')].every((one) => one.naturalWidth == 160)")
    tiles.first.hover()
    page.wait_for_function("() => document.querySelector('.tile video').currentTime > 0.2")
    page.mouse.move(0, 0)
    expect(page.locator(".tile video")).to_have_count(0)
    page.get_by_role("link", name="cold.mp4").focus()
    page.keyboard.press("4")
    expect(tiles.filter(has_text="cold.mp4").locator("[data-stars]")).to_have_text("★★★★☆")
    first = page.evaluate("document.activeElement.closest('.tile').id")
    page.keyboard.press("ArrowRight" if first == tiles.first.get_attribute("id") else "ArrowLeft")
    assert page.evaluate("document.activeElement.closest('.tile').id") != first
    page.goto(f"{address}/gallery?rating=4")
    expect(tiles).to_have_count(1)
    tiles.get_by_role("link", name="cold.mp4").click()

    page.wait_for_function("() => [...document.querySelectorAll('#beside video')].every((one) => one.readyState >= 2)")
    divide = page.get_by_label("How much of the original is shown")
    divide.focus()
    divide.press("Home")
    expect(page.locator(".beside-top")).to_have_css("clip-path", "inset(0px 0px 0px 0%)")
    page.get_by_label("Moment").fill("500")
    page.wait_for_function(
        "() => [...document.querySelectorAll('#beside video')].every((one) => Math.abs(one.currentTime - 0.75) < 0.1)"
    )
    assert page.evaluate(APART) < 1 / 12, "one frame"
    page.get_by_role("heading", level=1).click()
    page.keyboard.press("5")
    expect(page.get_by_label("5", exact=True)).to_be_checked()
    page.get_by_label("New tag").fill("final")
    page.get_by_role("button", name="Put it on").click()
    page.get_by_role("button", name="Take off the tag final").click()
    expect(page.locator("#tags")).to_have_text("None.")
    page.get_by_label("Note").fill(PROBE)
    page.get_by_role("button", name="Keep the note").click()
    expect(page.get_by_text("Kept.")).to_be_visible()
    assert barriers(page) == []
    item = studio.gallery_list(rating=5).items[0]
    assert (item.name, item.note, item.tags) == ("cold.mp4", PROBE, [])
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390

    page.goto(f"{address}/gallery")
    page.locator("#recall-file").set_input_files(item.path)
    expect(page.locator("#recalled")).to_contain_text(TEXT)
    page.get_by_label("Keep it as the prompt").fill("dusk-again")
    page.get_by_role("button", name="Keep it", exact=True).click()
    page.wait_for_url("**/prompts/stored/dusk-again")
    expect(page.locator(".written").first).to_have_text(TEXT)
    assert studio.prompt_show("dusk-again").settings["edge"] == 0.6
