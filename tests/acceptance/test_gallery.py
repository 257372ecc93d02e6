"""The gallery through the command line: results found, rated, compared, recalled, taken out."""

import functools
import json
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from treadle.base.errors import TreadleError
from treadle.cli.progress import frames_line
from treadle.jobs.context import RunContext
from treadle.jobs.runs import RunFolder, create_run
from treadle.operations.gallery import GalleryComparePayload
from treadle.operations.transfer import TransferPayload
from treadle.store.workspace import find_workspace
from treadle.telemetry.events import EventLog, read_events

pytest.importorskip("av", reason="PyAV is not installed (extra `video`)")
cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed (extra `video`)")

TEXT = "A wet street at dusk, warm lamps."


@pytest.fixture
def run(here):
    return functools.partial(here, "gallery")


def clip(file, level=100, frames=12, fps=12, step=1, **more):
    from treadle.video.frames import FrameWriter

    file.parent.mkdir(parents=True, exist_ok=True)
    with FrameWriter(file, Fraction(fps), quality="lossless", **more) as writer:
        for number in range(frames):
            writer.write(np.full((32, 48, 3), level + step * number, np.uint8))
    return file


def ended(kind, payload, value, outcome="done"):
    """A run as a worker leaves it, without the worker."""
    folder = create_run(find_workspace(), kind, payload)
    folder.write_result({"outcome": outcome, "value": value})
    return folder


@pytest.fixture
def generated(here, tmp_path):
    """A run as a transfer leaves it, whose request was a stored prompt with another seed."""
    from treadle.recipes.transfer_requests import resolved
    from treadle.recipes.transfer_requests import specs as read
    from treadle.video.origin import described

    source = clip(tmp_path / "street.mp4", fps=6, frames=6, step=20)
    words = ("--input", f"video={source}", "--set", "edge=0.6", "--set", "edges=low", "--negative", "fog")
    here("prompt", "new", "dusk", TEXT, *words)
    requests = resolved(find_workspace(), ["dusk"], ["vis=0:0.2 5:0.3"], ["seed=7"])
    payload = TransferPayload("local-tiny", "local", tuple(requests), batch=False, settings={})
    folder = ended("transfer.run", asdict(payload), {"outcome": "done"})
    made_by = {"tool": "transfer run", "sources": [described(source)], "options": {}, "prompt": requests[0]["prompt"]}
    clip(folder.outputs / "dusk.mp4", 50, made_by={**made_by, "spec": read(payload)[0].to_json()})
    clip(folder.outputs / "previews" / "clip_0.mp4")
    (folder.outputs / "log.txt").write_text("no picture")
    return folder


def test_a_result_is_found_rated_and_kept_without_the_database(run, here, generated, tmp_path):
    asked = {"sources": [str(tmp_path / "street.mp4")], "options": {}}
    ended("video.deflicker", asked, {"out": str(clip(tmp_path / "even.mp4"))})
    ended("video.coherence", {"sources": ["street.mp4"]}, {"out": str(tmp_path / "plot.png")})  # a diagram, no result
    tool, transfer = run("list", "--json")["items"]
    assert (tool["kind"], tool["path"], tool["sources"]) == (
        "video.deflicker",
        str(tmp_path / "even.mp4"),
        [str(tmp_path / "street.mp4")],
    )
    assert (transfer["name"], transfer["prompt"], transfer["model"]) == ("dusk.mp4", "dusk", "local-tiny")
    best = transfer["id"]
    rated = run("rate", best, "4", "--note", "lamp flickers", "--json")["item"]
    assert (rated["rating"], rated["note"]) == (4, "lamp flickers")
    assert "tags        final, street" in run("tag", best, "street", "final")
    run("rate", tool["id"], "2")
    for database in tmp_path.glob("treadle.db*"):
        database.unlink()
    assert [row["id"] for row in run("list", "--order", "rating", "--json")["items"]] == [best, tool["id"]]
    assert found(run, "WET", "lamps") == found(run, "--tag", "Final") == found(run, "--rating", "3") == [best]
    assert found(run, "--model", "local-tiny") == found(run, "--kind", "transfer") == [best]
    assert found(run, "--kind", "video", "--made", "..2020-01-01") == []
    assert len(found(run, "--made", "2020-01-01..")) == 2
    assert "No result matches" in run("list", "snow")
    assert "****.  " in run("list", "--count", "2")

    run("rate", best, "--clear")
    assert run("tag", best, "--untag", "final", "--json")["item"]["tags"] == ["street"]
    shown = run("show", generated.id, "--json")
    assert (shown["item"]["rating"], shown["item"]["note"], shown["same"]) == (None, "lamp flickers", True)
    assert (shown["settings"]["seed"], shown["settings"]["edge"]) == (7, 0.6)
    assert shown["made_by"]["spec"]["seed"] == 7
    clip(generated.outputs / "dusk.mp4", 51)
    assert "which was changed since it was rated" in run("show", best)


def found(run, *words):
    return [row["id"] for row in run("list", *words, "--json")["items"]]


def test_a_result_is_taken_out_and_put_back(run, generated, tmp_path):
    identity = found(run)[0]
    run("rate", identity, "5")
    assert "out of the gallery" in run("remove", identity[:7])
    assert (found(run), found(run, "--removed")) == ([], [identity])
    assert "in the gallery again" in run("remove", identity, "--restore")
    gone = run("remove", identity, "--file", "--json")
    assert Path(gone["trash"]).parent == tmp_path / "trash"
    assert not (generated.outputs / "dusk.mp4").exists()
    row = run("list", "--removed", "--json")["items"][0]
    assert (row["there"], row["rating"]) == (False, 5)


def test_what_was_said_outlives_the_run_and_a_damaged_note_is_named(run, generated, tmp_path):
    identity = found(run)[0]
    run("rate", identity, "5")
    generated.path.rename(tmp_path / "elsewhere")
    row = run("list", "dusk", "--json")["items"][0]
    assert (row["id"], row["rating"], row["text"], row["there"]) == (identity, 5, TEXT, False)
    file = tmp_path / "gallery" / f"{identity}.json"
    said = json.loads(file.read_text())
    file.write_text(json.dumps({**said, "rating": 6}))
    assert run("list", "--json")["damaged"] == [
        f"{file} is not a note of the gallery; remove it or restore it from a copy."
    ]
    (tmp_path / "elsewhere").rename(generated.path)
    assert "is not a note of the gallery" in run("rate", identity, "1", code=1)


def test_a_video_dropped_back_gives_its_prompt_again(run, here, generated, tmp_path):
    from treadle.video.origin import described

    moved = (generated.outputs / "dusk.mp4").rename(tmp_path / "elsewhere.mp4")
    options = {"seconds": 1.0, "quality": "good"}
    clip(tmp_path / "steady.mp4", made_by={"tool": "video smooth", "options": options, "sources": [described(moved)]})
    told = run("recall", "steady.mp4", "--json")
    assert (told["tool"], told["prompt"]["text"], told["saved"]) == ("video smooth", TEXT, None)
    assert told["command"] == f"treadle video smooth {moved} --quality good --seconds 1 --out FILE.mp4"
    assert told["unsaid"] == ["the weight of vis"]
    assert "Not stored" in run("recall", "elsewhere.mp4")
    assert "Stored as prompt `again`, version 1" in run("recall", "steady.mp4", "--save", "again")
    stored = here("prompt", "show", "again", "--json")
    assert (stored["text"], stored["negative"]) == (TEXT, "fog")
    assert stored["settings"] == {"seed": 7, "edge": 0.6, "edges": "low"}  # the seed that was sent
    assert stored["inputs"][0]["path"] == str(tmp_path / "street.mp4")
    assert "whoever made" in here("prompt", "show", "again")
    assert "already" in run("recall", "steady.mp4", "--save", "again", code=2)


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        ({}, "no text that can be used"),
        ({"text": "A street.", "inputs": [{"kind": "video", "path": 3}]}, "An input inside"),
        ({"text": "A street.", "settings": {"sead": 1}}, "Did you mean `seed`"),
        ({"text": "A street.", "settings": {"seed": -1}}, "seed"),
    ],
)
def test_what_others_wrote_into_a_file_makes_no_prompt(run, tmp_path, prompt, says):
    file = clip(tmp_path / "strange.mp4", frames=1, made_by={"tool": "\x1b[31mx", "prompt": prompt})
    assert "\x1b" not in run("recall", file)
    assert says in run("recall", file, "--save", "new", code=1 if "inside" in says or "text" in says else 2)
    assert not (tmp_path / "prompts" / "new").exists()


def test_a_result_stands_beside_its_original(run, generated, tmp_path):
    from treadle.recipes.gallery_compare import run as beside
    from treadle.video.frames import probe, read_frames

    identity = found(run)[0]
    made = run("compare", identity, "--out", "beside.mp4", "--json")
    assert (made["frames"], made["fps"]) == (12, 12.0)
    frames = list(read_frames(tmp_path / "beside.mp4"))
    assert frames[0].shape == (32, 48 + 4 + 48, 3)
    left, right = ([int(frame[8:24, place].mean()) for frame in frames] for place in (10, 90))
    assert all(abs(value - (100 + 20 * min(5, (place + 1) // 2))) <= 2 for place, value in enumerate(left))
    assert all(abs(value - (50 + place)) <= 2 for place, value in enumerate(right))
    assert probe(tmp_path / "beside.mp4").made_by["tool"] == "gallery compare"
    context = RunContext(find_workspace(), generated, EventLog(tmp_path / "events.jsonl"))
    files = [str(tmp_path / "street.mp4"), str(generated.outputs / "dusk.mp4"), str(tmp_path / "three.png")]
    assert beside(context, GalleryComparePayload(identity, *files))["frames"] == 3
    assert cv2.imread("three.png").shape == (3 * 32 + 2 * 4, 100, 3)
    assert frames_line(read_events(tmp_path / "events.jsonl")[0].data).startswith("frame 1/12 ")
    assert found(run) == [identity]  # comparisons are no results
    (tmp_path / "street.mp4").unlink()
    assert "which is gone" in run("compare", identity, "--out", "b.mp4", code=2)
    assert "No result" in run("compare", "g-0000000000", "--out", "b.mp4", code=2)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("rate", "r-none", "3"), 2, "No result"),
        (("rate", "ONE", "6"), 2, "0 to 5"),
        (("rate", "ONE"), 2, "Say how good"),
        (("rate", "ONE", "3", "--clear"), 2, "not both"),
        (("tag", "ONE"), 2, "Name a tag"),
        (("tag", "ONE", "a,b"), 2, "cannot be a tag"),
        (("tag", "ONE", "--untag", "x"), 2, "has no tag"),
        (("remove", "ONE", "--file", "--restore"), 2, "not both"),
        (("list", "--made", "yesterday"), 2, "no date"),
        (("list", "--count", "0"), 2, "at least 1"),
        (("recall", "gone.mp4"), 2, "neither a file nor"),
        (("recall", "treadle.yaml"), 1, "not a video"),
        (("compare", "ONE", "--out", "x.txt"), 2, "must end in"),
        (("compare", "ONE", "--out", "street.mp4"), 2, "exists already"),
        (("compare", "ONE", "--out", "b.mp4"), 2, "made from no file"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(run, tmp_path, arguments, code, says):
    one = ended("video.smooth", {"sources": []}, {"out": str(clip(tmp_path / "street.mp4", frames=1))})
    words = [one.id if word == "ONE" else word for word in arguments]
    assert says in run(*words, code=code)
    assert not list((tmp_path / "gallery").glob("*.json"))


def test_a_picture_is_a_result_too_and_its_run_tells_how_it_was_made(run, tmp_path):
    from treadle.recipes.gallery_compare import run as beside

    folder = ended("video.controls", {"sources": [], "options": {"control": "edge"}}, {})
    for file, size in ((folder.outputs / "a.png", 20), (tmp_path / "original.png", 33)):
        cv2.imwrite(str(file), np.full((size, 47, 3), 90, np.uint8))
    row = run("list", "--kind", "picture", "--json")["items"][0]
    assert (row["name"], row["media"]) == ("a.png", "picture")
    facts = run("show", folder.id, "--json")["facts"]
    assert (facts["width"], facts["height"]) == (47, 20)
    told = run("recall", row["id"], "--json")
    assert (told["said_by"], told["options"]) == ("run", {"control": "edge"})
    assert "without a prompt" in run("recall", row["id"], "--save", "x", code=2)
    assert "does not say how it was made" in run("recall", "original.png", code=1)
    context = RunContext(find_workspace(), folder, EventLog(tmp_path / "events.jsonl"))
    files = [str(tmp_path / "original.png"), row["path"], str(tmp_path / "both.png")]
    assert beside(context, GalleryComparePayload(row["id"], *files))["frames"] == 1
    context.stop.requested = True
    with pytest.raises(TreadleError, match="nothing was written"):
        beside(context, GalleryComparePayload(row["id"], *files[:2], str(tmp_path / "no.mp4")))
    assert not (tmp_path / "no.mp4").exists()


def test_of_a_file_written_over_the_newest_run_counts(run, tmp_path):
    file = clip(tmp_path / "a.mp4")
    first, second = (ended("video.smooth", {"sources": [], "options": {}}, {"out": str(file)}) for _ in range(2))
    assert [row["run"] for row in run("list", "--json")["items"]] == [max(first.id, second.id)]
    assert RunFolder(first.path).result()["outcome"] == "done"
