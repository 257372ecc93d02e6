"""A prompt's text written on a host, by a stand-in for the target: from the request to the version that is kept."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from treadle.base.errors import DataError, NotReadyError, ResourceError, UsageError
from treadle.base.hashing import hash_file
from treadle.jobs.context import RunContext
from treadle.jobs.runs import create_run
from treadle.operations.prompts import PromptEnhancePayload, PromptText
from treadle.prompts.upsampler_runner import GUARDS, MODEL
from treadle.recipes import prompts, prompts_on_host
from treadle.remote.hosts import HostCard, HostCards
from treadle.store.workspace import create_workspace
from treadle.telemetry.events import EventLog

TARGET = Path(__file__).parents[1] / "data" / "transfer1_target"


class Lab:
    """A workspace with a prompt, and a host that is this machine, with the stand-in and its models."""

    def __init__(self, folder):
        self.workspace = create_workspace(folder / "lab")
        self.code, self.clip = folder / "code", folder / "clip.mp4"
        shutil.copytree(TARGET, self.code)
        self.clip.write_text("a street")
        for name in (MODEL, *GUARDS):
            (folder / "models" / name).mkdir(parents=True)
            (folder / "models" / name / "weights").touch()
        self.card = HostCard(
            "box", "local", str(folder / "there"), "", code=str(self.code), python=sys.executable,
            checkpoints=str(folder / "models"),
        )  # fmt: skip
        HostCards(self.workspace).keep(self.card)
        self.prompt("A wet street")

    def prompt(self, text, name="dusk"):
        given = PromptText(text, None, (f"video={self.clip}",))
        return prompts.new(self.workspace, name, "video", given, None)

    def run(self, run=None, version=1, name="dusk", **more):
        run = run or create_run(self.workspace, "prompt.enhance", {})
        context = RunContext(self.workspace, run, EventLog(run.events))
        payload = PromptEnhancePayload(name, version, "box", more.pop("seconds", 60.0), **more)
        return prompts_on_host.run(context, payload), run

    def stored(self, version, name="dusk"):
        return prompts.library(self.workspace).get(name, version)

    def asked(self):
        return (self.code / "enhanced").read_text().splitlines()


@pytest.fixture
def lab(quick_folder):
    return Lab(quick_folder)


def test_the_text_becomes_a_version_that_knows_who_wrote_it_where_and_in_which_run(lab):
    answer, run = lab.run()
    made = lab.stored(2)
    assert made.text == "A wet street, seen in 2 frames of a street. Warm light."
    assert (made.parent, made.inputs, made.version) == (1, lab.stored(1).inputs, 2)
    by = dict(made.made_by)
    assert (by["enhanced_by"], by["host"], by["run"], by["guardrail"]) == (MODEL, "box", run.id, "passed")
    assert by["answer_sha256"] == hash_file(run.path / "outputs" / "answer.json")
    assert (answer["text"], answer["version"], answer["changed"]) == (made.text, 2, True)
    assert "loading" in run.log.read_text()


def test_an_attempt_after_a_kill_finds_the_answer_and_stores_it_once(lab):
    _, run = lab.run()
    again, _ = lab.run(run)
    assert (again["version"], lab.asked()) == (2, ["A wet street"])
    with pytest.raises(Exception, match="no version 3"):
        lab.stored(3)


def test_a_proposal_is_shown_and_not_stored(lab):
    answer, _ = lab.run(preview=True)
    assert (answer["changed"], answer["proposed"], answer["text"][:12]) == (False, True, "A wet street")
    assert prompts.library(lab.workspace).versions("dusk") == [1]


def test_what_was_stored_meanwhile_stays_and_the_parent_is_the_version_that_was_asked_for(lab):
    prompts.edit(lab.workspace, "dusk", PromptText("Another text"), None)
    answer, _ = lab.run(version=1)
    assert (answer["version"], answer["parent"]) == (3, 1)


@pytest.mark.parametrize(
    ("mark", "error", "says"),
    [
        ("[bare]", NotReadyError, "No module named 'vllm'.*must hold cosmos-transfer1 and vllm"),
        ("[unsafe]", DataError, "guardrail refuses.*other words"),
        ("[hang]", ResourceError, "not done after 0.5 s.*--seconds"),
    ],
)
def test_a_failure_says_why_and_what_to_do(lab, mark, error, says):
    lab.prompt(f"A street {mark}", "bad")
    with pytest.raises(error, match=says):
        lab.run(name="bad", seconds=0.5 if mark == "[hang]" else 60.0)
    assert prompts.library(lab.workspace).versions("bad") == [1]


def test_without_its_model_the_host_is_told_to_download_it_and_a_retry_begins_anew(lab):
    weights = Path(lab.card.checkpoints, MODEL, "weights")
    weights.unlink()
    run = create_run(lab.workspace, "prompt.enhance", {})
    with pytest.raises(NotReadyError, match=f"treadle host checkpoints download box {MODEL}"):
        lab.run(run)
    weights.touch()
    assert lab.run(run)[0]["version"] == 2


def test_what_no_host_can_do_is_refused_before_anything_is_queued(lab):
    def refused(says, name="dusk", error=UsageError):
        with pytest.raises(error, match=says):
            prompts_on_host.checked(lab.workspace, name, "box")

    prompts.new(lab.workspace, "words", "text", PromptText("ROMEO:"), None)
    refused("is a prompt for text", "words")
    prompts.new(lab.workspace, "blind", "video", PromptText("A street"), None)
    refused("looks at the video, and `blind` has none", "blind")
    prompts_on_host.checked(lab.workspace, "dusk", "box")
    lab.clip.write_text("another street")
    refused("has changed since version 1")
    HostCards(lab.workspace).change("box", code="")
    lab.clip.write_text("a street")
    refused("neither an image nor a folder", error=NotReadyError)


def test_in_a_container_the_folder_of_the_run_and_the_checkpoints_are_all_it_sees(lab):
    image = f"sha256:{'a' * 64}"
    card = HostCards(lab.workspace).change("box", runtime="podman", image=image)
    folder = type("Folder", (), {"id": "r-1", "path": "/there/runs/r-1"})
    argv = prompts_on_host._command(card, folder)
    assert argv[argv.index(image) + 1 :] == [
        "env", "PYTHONPATH=.", "PYTHONUNBUFFERED=1", sys.executable, "-u", "/there/runs/r-1/upsampler_runner.py",
        "/there/runs/r-1/plan.json",
    ]  # fmt: skip
    mounted = [argv[place + 1] for place, word in enumerate(argv) if word == "--volume"]
    assert mounted == ["/there/runs/r-1:/there/runs/r-1", f"{card.checkpoints}:{card.checkpoints}:ro"]
    assert json.dumps(argv).count("treadle.run=r-1") == 1
