"""The command as a process: signals, pipes, broken outputs, errors for machines."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).parent / "treadle"
ROOT = Path(__file__).parents[2]
QUICK = ("training.sample_every=0", "training.evaluate_every=0")


@pytest.fixture
def installed():
    return True


def training(shell):
    """A training that has begun; returns its process, that of its run, and what was shown so far."""
    process = shell.start("train", "bard", "--minutes", "5", *QUICK)
    shown = shown_until(process, "Training begins")
    newest = max((shell.folder / "runs").glob("r-*/process.json"), key=lambda path: path.stat().st_mtime)
    return process, json.loads(newest.read_text())["pid"], shown


def shown_until(process, text):
    shown = ""
    while text not in shown:
        shown += process.stdout.readline()
    return shown


def test_an_interrupt_leaves_the_job_running_and_says_how_to_come_back(fed):
    process, pid, shown = training(fed)
    process.send_signal(signal.SIGINT)
    shown += process.communicate(timeout=60)[0]
    assert process.returncode == 130
    assert "Job 2 goes on in the background; nothing is lost." in shown
    assert "treadle jobs follow 2" in shown
    assert shown.count("Training `bard`") == 1, shown
    assert "Traceback" not in shown
    assert fed.json("jobs", "show", 2)["job"]["state"] == "running"
    os.kill(pid, 0)
    fed.run("jobs", "stop", 2)
    followed = fed.run("jobs", "follow", 2, code=130)
    assert "Stopped at step" in followed.stdout
    assert followed.stderr.count("Training `bard`") == 1, "what was shown before is shown again"
    assert fed.json("show", "bard")["steps"] > 0


def test_with_json_an_interrupt_is_json_too(fed):
    process = fed.start("train", "bard", "--minutes", "5", *QUICK, "--json")
    while not list((fed.folder / "models").glob("bard/history/*")):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    shown = process.communicate(timeout=60)[0]
    assert process.returncode == 130
    answer = json.loads(shown[shown.index("{") :])
    assert (answer["ok"], answer["kind"], answer["exit_code"]) == (False, "Interrupted", 130)
    fed.run("jobs", "stop", 2)
    fed.run("jobs", "follow", 2, code=130)


@pytest.mark.parametrize(
    ("arguments", "kind", "code"),
    [
        (["show", "nobody"], "NotFound", 2),
        (["train"], "Usage", 2),
        (["trian"], "Usage", 2),
        (["new", "x", "--size", "smal"], "Settings", 2),
        (["train", "bard", "--steps", "5"], "NotReady", 1),
        (["sample", "bard"], "NotReady", 1),
    ],
)
def test_with_json_an_error_is_json_too(shell, arguments, kind, code):
    shell.run("new", "bard", "--size", "nano")
    done = shell.run(*arguments, "--json", code=code)
    answer = json.loads(done.stdout)
    assert (answer["ok"], answer["exit_code"]) == (False, code)
    assert answer["kind"] == kind
    assert answer["error"] == done.stderr.rstrip("\n")


@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["--help"], ["show", "nobody"]])
def test_an_output_that_cannot_be_written_is_one_line(shell, arguments):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [COMMAND, *arguments], cwd=shell.folder, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert done.returncode == (2 if "nobody" in arguments else 74)
    assert len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["config", "show"], ["doctor", "--json"]])
def test_a_reader_that_goes_away_is_no_failure(shell, arguments):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([COMMAND, *arguments], cwd=shell.folder, **pipes) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 0


def test_standard_input_is_one_document_and_a_prompt(shell, text):
    shell.make("bard", text)
    fed = shell.json("feed", "bard", "-", input="A text that came through a pipe.\n")
    assert (fed["accepted"], fed["documents"]) == (1, 2)
    assert "empty" in shell.run("feed", "bard", "-", "--json", input="", code=1).stdout
    shell.run("train", "bard", "--steps", "6", *QUICK)
    sample = shell.run("sample", "bard", "--prompt", "-", "--tokens", "5", "generation.top_k=3", input="ROMEO:\n")
    assert sample.stdout.startswith("ROMEO:")
    assert not sample.stdout.startswith("ROMEO:\n\n")
    said = sample.stderr.strip()
    assert said.startswith("seed ")
    assert "checkpoint step 6, engine " in said
    again = shell.run("sample", "bard", "--prompt", "ROMEO:", "--tokens", "5", "--seed", said.split()[1].strip(","),
                      "generation.top_k=3")  # fmt: skip
    assert again.stdout == sample.stdout
    assert again.stderr == ""
    long = shell.run("sample", "bard", "--prompt", "to be " * 30, "--tokens", "2", "--seed", "1")
    assert "tokens of the prompt did not fit" in long.stderr
    assert "does not concern samples" in shell.refused("sample", "bard", "training.seed=1")


def test_a_folder_that_the_system_refuses_is_named(tmp_path):
    done = subprocess.run([COMMAND, "init", "/proc/foo"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "/proc/foo" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_wrapper_of_the_demo_leaves_other_workspaces_alone(tmp_path):
    """The text that scripts/demo writes, with a `treadle` that says which workspace it was given."""
    script = (ROOT / "scripts" / "demo").read_text()
    script = script[script.index("cat > treadle") : script.index("chmod")]
    checkout = tmp_path / "checkout"
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "treadle").write_text('#!/bin/sh\necho "${TREADLE_WORKSPACE:-none}" "$@"\n')
    (checkout / ".venv" / "bin" / "treadle").chmod(0o755)
    subprocess.run(["sh", "-c", script], cwd=checkout, check=True)
    other = tmp_path / "other" / "deep"
    other.mkdir(parents=True)

    def told(folder, **environment):
        wrapper = ["sh", checkout / "treadle", "list"]
        done = subprocess.run(wrapper, cwd=folder, env={"PATH": "/usr/bin:/bin", **environment}, capture_output=True)
        return done.stdout.decode().strip()

    assert told(checkout) == f"{checkout}/demo list"
    assert told(other) == f"{checkout}/demo list"
    assert told(other, TREADLE_WORKSPACE="/mine") == "/mine list"
    (tmp_path / "other" / "treadle.yaml").write_text("format: 1\n")
    assert told(other) == "none list"
