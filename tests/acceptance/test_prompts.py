"""Prompts through the command line: made, changed, found, used."""

import shutil
import sys
from pathlib import Path

import pytest

from treadle.prompts.upsampler_runner import MODEL


def test_a_prompt_lives_from_its_template_to_the_trash(here, tmp_path):
    video = tmp_path / "drive.mp4"
    video.write_bytes(b"not really a video")
    wizard = ("prompt", "wizard", "night-drive", "--answer", "time=dusk")
    assert "treadle prompt wizard night-drive --answer time=dusk --save NAME" in here(*wizard)
    assert here("prompt", "list") == "No prompts yet. Make one with: treadle prompt wizard city-street --save NAME\n"
    made = here(*wizard, "--input", f"video={video}", "--save", "drive", "--json")
    assert (made["version"], made["negative_from"], made["remarks"]) == (1, "default", [])
    assert "at dusk" in made["text"]
    assert made["made_by"]["answers"]["time"] == "dusk"
    changed = here("prompt", "edit", "drive", "--set", "seed=7", "--negative", "fog", "--tag", "liked", "--json")
    assert (changed["version"], changed["parent"], changed["settings"]["seed"]) == (2, 1, 7)
    assert (changed["negative"], changed["negative_from"]) == ("fog", "prompt")
    assert changed["tags"] == ["driving", "liked"]
    assert changed["made_by"] == made["made_by"]
    difference = here("prompt", "show", "drive", "--diff", "1")
    assert "+negative: fog" in difference
    assert "+seed = 7" in difference
    assert "nothing was stored" in here("prompt", "edit", "drive", "--set", "seed=7")
    assert here("prompt", "show", "drive", "--version", "1", "--json")["id"] == made["id"]
    assert [row["name"] for row in here("prompt", "search", "DUSK", "--tag", "liked", "--json")["prompts"]] == ["drive"]
    assert "No prompt matches" in here("prompt", "search", "snow")
    bare = here("prompt", "edit", "drive", "--without", "video", "--set", "edge=0", "--set", "vis=0", "--json")
    assert (bare["inputs"], bare["settings"]) == ([], {"seed": 7})
    assert "Nothing was erased" in here("prompt", "delete", "drive")
    assert "No prompt called `drive`" in here("prompt", "show", "drive", code=2)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("new", "a"), "needs a text"),
        (("new", "a", "text", "--template", "night-drive"), "not both"),
        (("new", "a", "text", "--answer", "x=y"), "Answers need a template"),
        (("new", "a", "text", "--input", "video"), "KIND=PATH"),
        (("new", "a", "text", "--input", "video=gone.mp4"), "does not exist"),
        (("new", "a", "text", "--set", "sead=1"), "Did you mean `seed`"),
        (("new", "a", "text", "--purpose", "text", "--negative", "x"), "Only prompts for videos"),
        (("new", "a/b", "text"), "cannot be the name of a prompt"),
        (("edit", "a"), "Say what to change"),
        (("template", "nightdrive"), "Did you mean `night-drive`"),
        (("wizard", "night-drive", "--answer", "road"), "QUESTION=ANSWER"),
        (("enhance", "a", "--using", "http://127.0.0.1:9/v1", "--seconds", "0"), "more than 0"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_stored(here, tmp_path, arguments, says):
    told = here("prompt", *arguments, code=2)
    assert says in told
    assert not list(tmp_path.glob("prompts/*/*.json"))


def test_a_stored_prompt_is_what_a_model_goes_on_from(here, tmp_path):
    shape = ("family.layers=1", "family.width=32", "family.heads=2", "data.sequence_length=32", "training.batch_size=4")
    (tmp_path / "a.txt").write_text("ROMEO: so it is.\n" * 400)
    here("new", "bard", "--size", "nano", "--tokenizer", "char", *shape)
    here("feed", "bard", "a.txt")
    here("train", "bard", "--steps", "5")
    here("prompt", "new", "opening", "ROMEO:", "--purpose", "text", "--set", "tokens=12", "--set", "seed=3")
    saved = here("sample", "bard", "--saved", "opening", "--json")
    assert saved == here("sample", "bard", "--prompt", "ROMEO:", "--tokens", "12", "--seed", "3", "--json")
    other = here("sample", "bard", "--saved", "opening", "--seed", "4", "--json")
    assert other["seed"] == 4
    assert "not both" in here("sample", "bard", "--saved", "opening", "--prompt", "x", code=2)
    assert "--model is for servers" in here("prompt", "enhance", "opening", "--using", "bard", "--model", "x", code=2)
    longer = here("prompt", "enhance", "opening", "--using", "bard", "--preview", "--json")
    assert longer["text"].startswith("ROMEO:")
    assert longer["made_by"]["enhanced_by"] == "bard"
    here("prompt", "new", "film", "A street.")
    assert "is a prompt for a video" in here("sample", "bard", "--saved", "film", code=2)


@pytest.fixture
def host(here, ssh_server, tmp_path):
    """A host `box` that holds a stand-in for the target, with the folder of its model."""
    target, models = tmp_path / "target", tmp_path / "models" / MODEL
    shutil.copytree(Path(__file__).parents[1] / "data" / "transfer1_target", target)
    models.mkdir(parents=True)
    (models / "weights").touch()
    place = f"{ssh_server.user}@{ssh_server.address}:{ssh_server.port}"
    login = ("--key", ssh_server.key, "--accept", ssh_server.card().fingerprint, "--runtime", "none")
    there = ("--root", tmp_path / "there", "--code", target, "--checkpoints", tmp_path / "models")
    here("host", "add", "box", place, *login, *there, "--python", sys.executable)
    yield "box"
    here("worker", "stop")


def test_a_host_writes_more_of_a_prompt_as_a_job_of_its_queue(here, host, tmp_path):
    (tmp_path / "drive.mp4").write_text("a road")
    here("prompt", "new", "drive", "A road at night", "--input", "video=drive.mp4", "--set", "edge=0.6")
    asked = ("prompt", "enhance", "drive", "--host", host)
    assert "and one of them only" in here("prompt", "enhance", "drive", code=2)
    assert "and one of them only" in here(*asked, "--using", "bard", code=2)
    assert "--model is for servers" in here(*asked, "--model", "x", code=2)
    told = here(*asked)
    assert "Next: treadle jobs follow 1" in told
    made = here("jobs", "follow", "1", "--json")
    assert (made["text"], made["version"]) == ("A road at night, seen in 2 frames of a road. Warm light.", 2)
    shown = here("prompt", "show", "drive")
    assert f"{MODEL} on box" in " ".join(shown.split())
    proposed = here(*asked, "--preview", "--json")
    assert (proposed["queued"], proposed["changed"]) == (2, False)
    assert "Not stored" in here("jobs", "follow", "2")
    assert here("prompt", "show", "drive", "--json")["version"] == 2
