"""Pieces of transfer runs that need no process: their file, the GPU's memory, command lines, the terminal's words."""

import json

import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra `video`)")

from treadle.base.errors import DataError, NotReadyError, UsageError
from treadle.cli.transfer_run_reports import TRANSFER_RUN_VIEWS
from treadle.jobs.identity import WorkerIdentity
from treadle.jobs.job import NewJob
from treadle.jobs.ledger import Ledger
from treadle.jobs.runs import create_run
from treadle.recipes.runs import outcome_of
from treadle.recipes.transfer_host import HostHere, check_ready
from treadle.recipes.transfer_requests import adjust, adjusted
from treadle.recipes.transfer_work import Work
from treadle.remote.hosts import HostCard
from treadle.remote.local import LocalTransport
from treadle.store.workspace import create_workspace
from treadle.video.transfer.backends.backend import LaunchSettings, Places
from treadle.video.transfer.backends.catalog import BACKENDS
from treadle.video.transfer.dialects.written import Written, WrittenRun

IMAGE = "cosmos@sha256:" + "0" * 64


def test_the_state_of_a_run_is_read_back_and_belongs_to_its_request(tmp_path):
    path = tmp_path / "transfer.json"
    work = Work.open(path, ["a", "b"])
    launch = work.begin("r-1", [0, 1], 0, 2)
    work.items[0].state = "done"
    work.save()
    again = Work.open(path, ["a", "b"])
    assert (again.waiting, again.open_launch) == ([1], launch)
    with pytest.raises(DataError, match="another request"):
        Work.open(path, ["a"])
    path.write_text("{}")
    with pytest.raises(DataError, match="damaged"):
        Work.open(path, ["a"])


def test_a_container_sees_its_run_and_reads_checkpoints_and_secrets_stay_out_of_the_line(tmp_path):
    card = HostCard("box", "local", "/data/t", "", runtime="podman", image=IMAGE, checkpoints="/data/c", gpus=2)
    host = HostHere(card, LocalTransport(), "", 1.0)
    places = host.places(host.folder("r-1-000"))
    backend = BACKENDS.get("transfer1-cli")
    run = WrittenRun(("--controlnet_specs", "x"), ("outputs/output.mp4",), 0, 1)
    argv = backend.argv(Written("transfer1", {}, (run,), program=("transfer.py",)), run, places, LaunchSettings())
    environment = backend.environment(places, LaunchSettings())
    command = host.command("r-1-000", argv, places, environment, f"{places.run}/environment")
    joined = " ".join(command)
    assert "--volume /data/t/runs/r-1-000:/data/t/runs/r-1-000 " in joined
    assert "--volume /data/c:/data/c:ro" in joined
    assert "--env-file /data/t/runs/r-1-000/environment" in joined
    assert f"{IMAGE} env PYTHONPATH=. " in joined
    assert "--nproc_per_node=2 transfer.py --controlnet_specs x --checkpoint_dir /data/c --num_gpus 2" in joined


@pytest.mark.parametrize(
    ("backend", "fields", "said"),
    [
        ("local-tiny", {"address": "gpu"}, "this machine only"),
        ("transfer1-server", {"image": IMAGE, "runtime": "podman"}, "end with each run"),
        (
            "transfer25-cli",
            {},
            "neither an image nor a folder.*: treadle host add box local --code FOLDER --replace, or",
        ),
        ("transfer25-cli", {"address": "gpu"}, "treadle host image pin box IMAGE, or treadle host add box USER@"),
    ],
)
def test_a_host_that_cannot_is_refused_with_a_way_out(backend, fields, said):
    with pytest.raises(NotReadyError, match=said):
        check_ready(HostCard(**{"name": "box", "address": "local", "root": "/r", "created": "", **fields}), backend)


def test_a_small_model_is_no_way_out_for_who_enlarges():
    with pytest.raises(NotReadyError) as refused:
        check_ready(HostCard("box", "local", "/r", ""), "transfer1-cli", enlarges=True)
    assert "--code FOLDER" in str(refused.value)
    assert "local-tiny" not in str(refused.value)


def test_settings_of_a_job_change_while_it_waits_and_no_longer_when_it_has_ended(tmp_path):
    workspace = create_workspace(tmp_path / "w")
    run = create_run(workspace, "transfer.run", {})
    with Ledger.open(workspace) as ledger:
        job = ledger.submit(NewJob("host:box", "transfer.run", {}, "light", run=run.id)).id
        other = ledger.submit(NewJob("host:box", "crawl", {}, "light")).id
    assert adjust(workspace, job, ["guidance=4"]) == {"guidance": 4}
    assert adjust(workspace, job, ["steps=20"]) == {"guidance": 4, "steps": 20} == adjusted(run)
    for pairs, said in ((["seed=1"], "`seed` cannot"), ([], "Say what"), (["steps=0"], "steps")):
        with pytest.raises(UsageError, match=said):
            adjust(workspace, job, pairs)
    with pytest.raises(UsageError, match="no transfer"):
        adjust(workspace, other, ["steps=2"])
    with Ledger.open(workspace) as ledger:
        claim = ledger.work.claim(WorkerIdentity.current(), {"light": 1})
        ledger.stop(job)
        with pytest.raises(UsageError, match="is about to end"):
            adjust(workspace, job, ["steps=2"])
        ledger.work.cancelled(claim)
    with pytest.raises(UsageError, match="has ended"):
        adjust(workspace, job, ["steps=2"])


@pytest.mark.parametrize(("kind", "outcome"), [("HostLost", "lost"), ("EndUnknown", "unknown"), ("Data", "failed")])
def test_what_nobody_knows_is_not_called_a_failure(tmp_path, kind, outcome):
    run = create_run(create_workspace(tmp_path / "w"), "transfer.run", {})
    run.write_result({"outcome": "failed", "error": "x", "exit_code": 1, "kind": kind})
    assert outcome_of(run) == outcome


def test_the_terminal_tells_what_is_there_what_is_not_and_what_it_cost():
    items = [
        {"name": "a", "state": "done", "video": "a.mp4", "reason": "", "sha256": "", "seconds": 1.0},
        {"name": "b", "state": "blocked", "video": None, "reason": "The guardrail refused it.", "sha256": None},
    ]
    report = {"outcome": "partial", "host": "box", "backend": "transfer1-server", "folder": "/r/outputs", "run": "r-1"}
    report |= {"items": items, "launches": [{}, {}], "seconds_on_host": 3600, "cost": 2.5, "saved_seconds": 60.0}
    text = "\n".join(TRANSFER_RUN_VIEWS["transfer.run"](report, {}))
    for part in (
        "1 video from box",
        "a.mp4",
        "b: blocked. The guardrail",
        "2.50",
        "1:00",
        "launches",
        "gallery show r-1",
    ):
        assert part in text
    stopped = {**report, "outcome": "stopped", "detached": True}
    assert "it goes on there" in TRANSFER_RUN_VIEWS["transfer.upscale"](stopped, {})[0]
    changed = TRANSFER_RUN_VIEWS["transfer.adjust"]({"job": 3, "changes": {"steps": 20}}, {})
    assert changed == ["Job 3 goes on with steps=20, from its next clip or launch on."]
    assert json.loads(json.dumps(report))["items"][0]["name"] == "a"


def test_every_backend_says_its_command_and_what_it_keeps_loaded():
    places = Places("/run", "/code", "/checkpoints", "/state")
    run = WrittenRun(("a",), ("outputs/output.mp4",), 0, 1)
    for name in ("transfer1-cli", "transfer1-server", "transfer25-cli", "diffusers"):
        backend = BACKENDS.get(name)
        argv = backend.argv(Written(backend.words.name, {}, (run,), program=("p.py",)), run, places, LaunchSettings())
        assert argv[0] == "python3"
        assert (backend.name, "a" in argv) == (name, True)
        assert all("=" not in key for key in backend.environment(places, LaunchSettings()))
