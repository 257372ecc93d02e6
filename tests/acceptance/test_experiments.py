"""Experiments through the installed command: a grid to one report, through kills and stops."""

import json
import os
import signal
import time

import pytest

TINY = ("family.layers=2", "family.width=32", "family.heads=2", "data.sequence_length=32", "training.batch_size=4")
PNG = b"\x89PNG\r\n\x1a\n"
CELLS = ("--grid", "family.layers=1,2", "--seeds", "2", "size=nano", "data.tokenizer=char", *TINY[1:])


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


def test_a_grid_becomes_one_report_and_grows_by_the_same_command(shell, text):
    answer = shell.json("experiment", "depth", *CELLS, "--budget", "12steps", "--on", text)
    assert (answer["done"], answer["wanted"], answer["unit"]) == (4, 4, "nats/token")
    assert [row["steps"] for row in answer["rows"]] == [12, 12]
    assert answer["rows"][0]["parameters"] < answer["rows"][1]["parameters"]
    folder = shell.folder / "experiments" / "depth"
    for picture in ("curves.png", "costs.png"):
        assert (folder / picture).read_bytes().startswith(PNG)
    report = (folder / "report.md").read_text()
    assert answer["verdict"]["sentence"] in report
    assert all(f"{row['mean']:.4f}" in report for row in answer["rows"])
    numbers = json.loads((folder / "report.json").read_text())
    assert all(len(cell["curve"]) == 12 and cell["memory_bytes"] > 1e6 for cell in numbers["cells"].values())

    jobs = shell.json("jobs", "list")["jobs"]
    assert sorted(job["kind"] for job in jobs) == ["experiment", *["train"] * 4]
    assert shell.json("list")["models"] == []
    assert "4 more belong to experiments" in shell.run("list").stdout

    again = shell.run("experiment", "depth", "--seeds", "3")
    assert "4 of 6 trainings are done already" in again.stderr
    assert len([job for job in shell.json("jobs", "list")["jobs"] if job["kind"] == "train"]) == 6
    shown = shell.json("experiment", "show", "depth")
    assert (shown["done"], shown["seeds"]) == (6, 3)
    assert shown["verdict"]["sentence"] in " ".join(again.stdout.split())
    assert [row["verdict"] for row in shell.json("experiment", "list")["experiments"]] == [shown["verdict"]["sentence"]]
    assert "not be comparable" in shell.refused("experiment", "depth", "--budget", "13steps")

    removed = shell.json("experiment", "delete", "depth")
    assert removed["models"] == 6
    assert not folder.exists()
    assert shell.json("list")["of_experiments"] == 0
    assert "No experiment" in shell.refused("experiment", "show", "depth")


def test_tokenizers_are_compared_by_bits_per_byte_on_equal_bytes(shell, text):
    flags = ("size=nano", *TINY)
    answer = shell.json(
        *("experiment", "codes", "--grid", "data.tokenizer=char,bpe:300", "--budget", "6000bytes"),
        *("--seeds", "1", "--on", text, *flags),
    )
    assert answer["unit"] == "bits/byte"
    char, bpe = answer["rows"]
    assert bpe["tokens"] < char["tokens"]
    assert 0 < char["mean"] < 9
    assert answer["verdict"]["kind"] == "undecided"


def test_a_killed_experiment_goes_on_where_it_was_and_a_stopped_one_stops_its_training(shell, text):
    shell.make("bard", text)
    long = ("experiment", "rates", *CELLS[2:], "--grid", "training.clip=0,1", "--budget", "400steps", "--on", "bard")
    shell.run(*long, "--detach")
    results = shell.folder / "experiments" / "rates" / "cells"

    def jobs(kind, state):
        found = shell.json("jobs", "list", "--count", "50")["jobs"]
        return [job for job in found if job["kind"] == kind and job["state"] == state]

    wait_for(lambda: list(results.glob("*.json")))
    first = {path.name: path.stat().st_mtime_ns for path in results.glob("*.json")}
    process = json.loads((shell.folder / "runs" / jobs("experiment", "running")[0]["run"] / "process.json").read_text())
    os.kill(process["pid"], signal.SIGKILL)
    wait_for(lambda: len(list(results.glob("*.json"))) >= 2)  # its job was taken up again
    assert {name: (results / name).stat().st_mtime_ns for name in first} == first
    (running,) = jobs("experiment", "running")
    assert running["recoveries"] == 1
    shell.run("jobs", "stop", running["id"])
    wait_for(lambda: not jobs("experiment", "running") and not jobs("experiment", "stopping"))
    wait_for(lambda: not jobs("train", "running") and not jobs("train", "stopping"))
    assert not jobs("train", "ready")
    report = shell.json("experiment", "show", "rates")
    assert report["done"] < report["wanted"] == 4
    assert report["verdict"]["kind"] == "undecided"
    answer = shell.json("experiment", "rates", code=0)
    assert (answer["done"], answer["failed"]) == (4, {})
    assert [row["steps"] for row in answer["rows"]] == [400, 400]
    assert {name: (results / name).stat().st_mtime_ns for name in first} == first


def test_a_training_that_fails_is_named_and_tried_again(shell, text):
    flags = ("--grid", "training.threads=1,999", "--budget", "4steps", "--seeds", "1", "--on", text, "size=nano", *TINY)
    answer = shell.json("experiment", "threads", *flags, code=1)
    assert answer["done"] == 1
    (reason,) = answer["failed"].values()
    assert "999 is more than" in reason
    shown = shell.run("experiment", "threads", code=1)
    assert "999" in shown.stdout
    assert len([job for job in shell.json("jobs", "list")["jobs"] if job["kind"] == "train"]) == 3


@pytest.mark.parametrize("words", [("--grid", "training.clip=interval(0,1)"), ("--grid", "family.layerz=1,2")])
def test_a_wrong_grid_is_refused_before_a_job_is_queued(shell, text, words):
    said = shell.refused("experiment", "odd", *words, "--budget", "4steps", "--on", text)
    assert "interval" in said or "family.layers" in said
    assert shell.json("jobs", "list")["jobs"] == []
