"""Addresses, names of images, tables of sums, cards: what is read before any host is asked."""

import json
import sys
from pathlib import Path

import pytest

from treadle.base.errors import DataError, NotFoundError, NotReadyError, UsageError
from treadle.jobs.context import RunContext
from treadle.jobs.runs import RunFolder
from treadle.operations.host_work import HostCheckpointsPayload
from treadle.recipes import host_checkpoints, hosts
from treadle.recipes.following import LeftError
from treadle.recipes.host_manifest import read_manifest, read_md5_table
from treadle.remote.containers import Containers, Mount
from treadle.remote.hosts import HostCard, HostCards
from treadle.remote.run_folder import RunFolder as Remote
from treadle.store.workspace import create_workspace
from treadle.telemetry.events import EventLog

DIGEST = f"sha256:{'0' * 64}"


@pytest.fixture
def workspace(tmp_path):
    return create_workspace(tmp_path / "w")


def card(tmp_path, **fields):
    given = {"root": str(tmp_path / "root"), "created": "2026-01-01T00:00:00+00:00", "checkpoints": str(tmp_path / "c")}
    return HostCard("here", "local", **{**given, **fields})


def test_places_are_read_and_what_is_none_is_refused():
    assert hosts.place_of("local") == ("", "local", 0)
    assert hosts.place_of("u@h.example") == ("u", "h.example", 22)
    assert hosts.place_of("u@[2001:db8::1]:2222") == ("u", "2001:db8::1", 2222)
    for wrong in ("h", "u@", "@h", "u@h:0", "u@h:99999", "u@h:x", "u@h/x", "u@2001:db8::1", "u v@h", ""):
        with pytest.raises(UsageError):
            hosts.place_of(wrong)


def test_an_image_needs_a_version_or_a_digest():
    for good in ("a:v1", "localhost:5000/a/b:1.2", f"a@{DIGEST}", DIGEST, f"a:v1@{DIGEST}"):
        assert hosts.image_reference(good) == good
    for bad in ("a", "a:latest", "localhost:5000/a", "a@sha256:1", "--privileged:1", "a:v1 b", ""):
        with pytest.raises(UsageError):
            hosts.image_reference(bad)


def test_a_container_gets_its_label_mounts_and_secrets_by_file_and_only_a_fixed_image():
    made = Containers("podman", ("--log-level=error",), ("--gpus=all",))
    mounts = [Mount("/a b", "/in"), Mount("/out", "/out", writable=True)]
    argv = made.argv("r-1", DIGEST, ["cmd", "x y"], mounts=mounts, environment_file="/e")
    assert argv[:3] == ["podman", "--log-level=error", "run"]
    assert argv[-3:] == [DIGEST, "cmd", "x y"]
    joined = " ".join(argv)
    for words in (
        "--label treadle.run=r-1",
        "--volume /a b:/in:ro",
        "--volume /out:/out ",
        "--env-file /e",
        "--gpus=all",
    ):
        assert words in joined
    with pytest.raises(UsageError, match="host image pin"):
        made.argv("r-1", "a:v1", ["cmd"])
    with pytest.raises(UsageError, match="`:`"):
        made.argv("r-1", DIGEST, ["cmd"], mounts=[Mount("/a:b", "/in")])


def test_cards_are_kept_changed_and_damaged_ones_named(workspace, tmp_path):
    cards = HostCards(workspace)
    cards.keep(card(tmp_path, run_flags=("--a", "--b")))
    assert cards.get("here") == card(tmp_path, run_flags=("--a", "--b"))
    assert cards.change("here", slots=3).slots == 3
    with pytest.raises(UsageError, match="whichever"):
        cards.keep(HostCard("any", "local", "/r", ""))
    with pytest.raises(NotReadyError, match="neither"):
        hosts.pin(workspace, "here", "a:v1")
    (cards.folder("here") / "host.json").write_text('{"name": "here", "odd": 1}')
    with pytest.raises(DataError, match=r"host\.json"):
        cards.get("here")
    for _ in range(2):
        cards.keep(card(tmp_path))
        cards.remove("here")
    assert (workspace.trash / "host-here-2").is_dir()


def test_tables_of_md5_sums_are_read_in_three_forms(tmp_path):
    sums = {"a/b c.pt": "0" * 32, "d.bin": "ab" * 16}
    (tmp_path / "t.md5").write_text("".join(f"{value.upper()}  ./{name}\n" for name, value in sums.items()))
    (tmp_path / "t.json").write_text(json.dumps(sums))
    for name in ("t.md5", "t.json"):
        assert read_md5_table(tmp_path / name) == sums
    for folder, text in (
        ("cosmos_transfer1/checkpoints.py", 'A = "a"\nB_PATH = f"{A}/b c.pt"\nraise SystemExit("is never run")\n'),
        (
            "scripts/download_checkpoints.py",
            f'MD5_CHECKSUM_LOOKUP = {{checkpoints.B_PATH: "{"0" * 32}", "d.bin": "{"ab" * 16}"}}\n',
        ),
    ):
        path = tmp_path / "checkout" / folder
        path.parent.mkdir(parents=True)
        path.write_text(text)
    assert read_md5_table(tmp_path / "checkout") == sums
    (tmp_path / "checkout" / "scripts" / "download_checkpoints.py").write_text("X = {}\n")
    (tmp_path / "odd.md5").write_text("what is this\n")
    (tmp_path / "odd.json").write_text('{"a": "short"}')
    for name, error in (("checkout", DataError), ("odd.md5", DataError), ("odd.json", DataError), ("w", NotFoundError)):
        with pytest.raises(error):
            read_md5_table(tmp_path / name)


def test_checkpoints_that_differ_from_upstreams_table_stay_out_and_a_left_job_is_followed_again(workspace, tmp_path):
    (tmp_path / "python").write_text(
        f'#!/bin/sh\nwhile [ ! -e {tmp_path}/go ]; do sleep 0.02; done\nexec {sys.executable} "$@"\n'
    )
    (tmp_path / "python").chmod(0o755)
    cards, chosen = HostCards(workspace), card(tmp_path, python=str(tmp_path / "python"))
    cards.keep(chosen)
    Path(chosen.checkpoints, ".cache").mkdir(parents=True)
    for name, text in (("good", "a"), ("bad", "b"), ("plain", "c"), (".cache/x", "d")):
        Path(chosen.checkpoints, name).write_text(text)
    table = tmp_path / "t.json"
    table.write_text(json.dumps({"good": "0cc175b9c0f1b6a831c399e269772661", "bad": "0" * 32}))
    context = RunContext(workspace, RunFolder(workspace.runs / "r-1"), EventLog(tmp_path / "events.jsonl"))
    context.run.path.mkdir()
    context.run.claim(0)
    payload = HostCheckpointsPayload("here", "manifest", md5=str(table))
    context.stop.requested = True  # as when the worker ends while the work goes on
    with pytest.raises(LeftError):
        host_checkpoints.run(context, payload)
    context.stop.requested = False
    (tmp_path / "go").touch()
    answer = host_checkpoints.run(context, payload)
    assert (answer["files"], answer["md5_agree"], answer["ok"]) == (2, 1, False)
    assert answer["refused"] == [
        f"bad: its MD5 is 92eb5ffee6ae2fec3ad71c777531578f, in the table {'0' * 32}",
    ]
    assert sorted(read_manifest(cards.folder("here")).files) == ["good", "plain"]
    transport = chosen.connect()
    assert [Remote(transport, chosen.runs, f"r-1-{number}").state().there for number in (1, 2)] == [True, False]
    assert host_checkpoints.repositories(("transfer1", "a/b", "a/b"))[-1] == "a/b"
