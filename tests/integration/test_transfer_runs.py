"""Transfers from request to video, with a stand-in for the target that is started as the real one is."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path

import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra `video`)")
pytest.importorskip("cv2", reason="OpenCV is not installed (extra `video`)")

import numpy as np

from treadle.base.errors import NotFoundError, NotReadyError, UsageError
from treadle.base.files import write_json
from treadle.base.hashing import hash_file
from treadle.jobs.context import RunContext
from treadle.jobs.identity import WorkerIdentity
from treadle.jobs.job import NewJob
from treadle.jobs.ledger import Ledger
from treadle.jobs.runs import create_run
from treadle.operations.api import Workspace
from treadle.operations.transfer import TransferPayload
from treadle.recipes import transfer_checkpoints, transfer_host, transfer_place, transfer_requests, transfer_run
from treadle.recipes.following import HostLostError
from treadle.recipes.host_manifest import CheckpointFile, CheckpointManifest, write_manifest
from treadle.recipes.transfer_run import EndUnknownError, TransferBlockedError, TransferFailedError
from treadle.remote.hosts import HostCard, HostCards
from treadle.remote.run_folder import RunFolder
from treadle.store.workspace import create_workspace
from treadle.telemetry.events import EventLog, read_events
from treadle.video.frames import FrameWriter, probe

DATA = Path(__file__).parents[1] / "data"
QUICK = {"pause_seconds": 0.0, "patience_seconds": 2.0, "room_gb": 0.0}


class Lab:
    """A workspace with a host that is this machine, and a checkout of the stand-in on it."""

    def __init__(self, folder, target="transfer1_target"):
        self.workspace = create_workspace(folder / "lab")
        self.code = folder / "target"
        shutil.copytree(DATA / target, self.code)
        self.clip = folder / "clip.mp4"
        for path, shade in ((self.clip, 90), (self.code / "base.mp4", 30)):
            with FrameWriter(path, Fraction(24), quality="lossless") as writer:
                for number in range(4):
                    writer.write(np.full((36, 64, 3), shade + number, np.uint8))
        self.host("box")

    def host(self, name, **fields):
        root = str(self.workspace.root.parent / f"host-{name}")
        card = HostCard(name, "local", root, "", code=str(self.code), python=sys.executable, **fields)
        HostCards(self.workspace).keep(card)

    def payload(self, *texts, batch=False, backend="transfer1-cli", host="box", spec=None, **settings):
        requests = [
            {
                "spec": {
                    "name": f"v{number}",
                    "text": text,
                    "video": str(self.clip),
                    "controls": {"edge": {"weight": 0.6, "map": str(self.clip)}},
                    **(spec or {}),
                },
                "prompt": None,
            }
            for number, text in enumerate(texts)
        ]
        return TransferPayload(backend, host, tuple(requests), batch, {**QUICK, **settings})

    def context(self, run=None):
        run = run or create_run(self.workspace, "transfer.run", {})
        return RunContext(self.workspace, run, EventLog(run.events))

    def run(self, *texts, context=None, **more):
        context = context or self.context()
        answer = transfer_run.run(context, self.payload(*texts, **more))
        return answer, context.run

    def starts(self):
        path = self.code / "started"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def lab(quick_folder):
    yield Lab(quick_folder)
    for path in Path("/proc").glob("[0-9]*"):  # what runs of a failed test have left behind
        try:
            if (path / "cwd").readlink().is_relative_to(quick_folder):
                os.kill(int(path.name), signal.SIGKILL)
        except OSError:
            continue


def work_of(run):
    return json.loads((run.path / "transfer.json").read_text())


def test_a_request_becomes_a_video_that_knows_how_it_was_made(lab):
    lab.host("box", price=2.0)
    answer, run = lab.run("A wet street")
    video = run.outputs / "v0.mp4"
    assert (answer["outcome"], answer["items"][0]["video"]) == ("done", "v0.mp4")
    assert probe(video).frames == 4
    made_by = probe(video).made_by
    assert (made_by["spec"]["text"], made_by["options"]["backend"]) == ("A wet street", "transfer1-cli")
    assert answer["cost"] == pytest.approx(answer["seconds_on_host"] / 1800, abs=1e-3)
    states = [event.data["state"] for event in read_events(run.events) if event.type == "state"]
    assert states == ["staging", "starting", "running", "collecting"]
    assert "Saved video" in run.log.read_text()
    (argv,) = lab.starts()
    assert "--num_gpus 1" in argv


def test_a_batch_makes_what_single_runs_make_and_loads_the_model_once(lab):
    texts = ["A wet street", "A dry street", "A harbour"]
    together, _ = lab.run(*texts, batch=True)
    assert len(lab.starts()) == 1
    singly, _ = lab.run(*texts)
    assert len(lab.starts()) == 4
    assert [item["sha256"] for item in together["items"]] == [item["sha256"] for item in singly["items"]]
    assert len({item["sha256"] for item in singly["items"]}) == 3


def test_only_what_shares_all_that_the_target_knows_once_goes_together(lab):
    payload = lab.payload("one", "two", "three", batch=True)
    payload.requests[1]["spec"]["negative"] = "rain"
    payload.requests[2]["spec"]["controls"]["edge"]["weight"] = 0.1
    context = lab.context()
    answer = transfer_run.run(context, payload)
    assert [launch["items"] for launch in answer["launches"]] == [[0, 2], [1]]
    alone = transfer_run.run(lab.context(), dataclasses.replace(payload, requests=payload.requests[1:2], batch=False))
    assert alone["items"][0]["sha256"] == answer["items"][1]["sha256"]


def test_too_many_at_once_are_halved_and_what_is_there_is_not_made_again(lab):
    texts = ["one", "two", "three [memory>1]", "four"]
    answer, run = lab.run(*texts, batch=True, batch_size=2)
    assert [(launch["items"], launch["at_once"]) for launch in answer["launches"]] == [([0, 1, 2, 3], 2), ([2, 3], 1)]
    assert answer["outcome"] == "done"
    assert any("2 at once were too many" in event.data.get("message", "") for event in read_events(run.events))


def test_a_refused_prompt_costs_the_others_nothing(lab):
    answer, _ = lab.run("one", "two [unsafe]", "three", batch=True)
    assert [item["state"] for item in answer["items"]] == ["done", "blocked", "done"]
    assert answer["outcome"] == "partial"
    assert "guardrail" in answer["items"][1]["reason"]
    assert [launch["items"] for launch in answer["launches"]] == [[0, 1, 2], [2]]


def test_videos_under_each_others_numbers_are_not_taken(lab):
    texts = ["one [unsafe]", "two", "three"]
    answer, _ = lab.run(*texts, batch=True, batch_size=3)
    assert [item["state"] for item in answer["items"]] == ["blocked", "done", "done"]
    single, _ = lab.run("two")
    assert answer["items"][1]["sha256"] == single["items"][0]["sha256"]


@pytest.mark.parametrize("mark", ["[unsafe]", "[silent]"])
def test_a_refusal_is_told_from_a_failure_also_when_the_command_ends_well(lab, mark):
    with pytest.raises(TransferBlockedError, match="guardrail"):
        lab.run(f"A fight {mark}")


def test_what_would_fail_again_is_not_tried_again(lab):
    with pytest.raises(TransferFailedError, match="ValueError: a bad input"):
        lab.run("one [crash]")
    assert len(lab.starts()) == 1


def test_trouble_that_passes_is_waited_out(lab):
    answer, _ = lab.run("one [busy]")
    assert [launch["ending"] for launch in answer["launches"]] == ["failed", "done"]
    assert "busy" in answer["launches"][0]["reason"]


def test_the_log_is_here_once_whatever_bytes_it_holds(lab):
    answer, run = lab.run("one [bytes]")
    here = (run.path / "launches" / "000" / "log").read_bytes()
    there = lab.workspace.root.parent / "host-box" / "runs" / answer["launches"][0]["id"] / "log"
    assert here == there.read_bytes()
    assert b"caf\xe9" in here


def in_background(function, *arguments):
    box = []
    thread = threading.Thread(target=lambda: box.append(function(*arguments)))
    thread.start()
    return thread, box


def wait_for(condition, seconds=30):
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it never came to that"
        time.sleep(0.02)


def test_a_run_goes_on_without_us_and_is_followed_again(lab):
    context = lab.context()
    payload = lab.payload("one [slow]")
    thread, box = in_background(transfer_run.run, context, payload)
    wait_for(lab.starts)
    wait_for(lambda: work_of(context.run)["launches"][0]["state"] == "running")
    context.stop.requested = True  # as when the worker ends; nobody asked for the job's end
    thread.join(30)
    assert (box[0]["outcome"], box[0]["detached"]) == ("stopped", True)
    work = work_of(context.run)
    work["launches"][0]["state"] = "starting"  # as if it had been killed just before it could write that down
    (context.run.path / "transfer.json").write_text(json.dumps(work))
    answer = transfer_run.run(lab.context(context.run), payload)
    assert (answer["outcome"], len(lab.starts()), len(answer["launches"])) == ("done", 1, 1)
    states = [event.data["state"] for event in read_events(context.run.events) if event.type == "state"]
    assert states == ["staging", "starting", "running", "running", "collecting"]
    told = [(event.type, event.data["at"]) for event in read_events(context.run.events) if "at" in event.data]
    assert len(told) == len(set(told))
    assert sum(kind == "clip" for kind, _ in told) == 3


def test_a_command_that_vanished_is_no_success_and_no_failure_of_the_request(lab):
    context = lab.context()
    thread, box = in_background(ending_of, context, lab.payload("one [hang]"))
    wait_for(lab.starts)
    pid = lab.workspace.root.parent / "host-box" / "runs" / f"{context.run.id}-000" / "pid"
    os.killpg(int(pid.read_text().split()[0]), signal.SIGKILL)
    thread.join(30)
    assert isinstance(box[0], EndUnknownError)
    assert work_of(context.run)["launches"][0]["ending"] == "unknown"
    assert work_of(context.run)["items"][0]["state"] == "waiting"


def ending_of(context, payload):
    try:
        return transfer_run.run(context, payload)
    except Exception as error:
        return error


def test_weights_that_change_beyond_a_clip_take_a_run_for_each_clip(lab):
    long = lab.workspace.root.parent / "long.mp4"
    with FrameWriter(long, Fraction(24), quality="lossless") as writer:
        for number in range(124):
            writer.write(np.full((36, 64, 3), number, np.uint8))
    spec = {"video": str(long), "controls": {"depth": {"weight": "0:0.2 123:0.8", "map": str(long)}}}
    answer, run = lab.run("one", spec=spec, batch=True)
    assert [launch["piece"] for launch in answer["launches"]] == [0, 1]
    assert probe(run.outputs / "v0.mp4").frames == 7  # four of each, without the one that is there twice


def test_a_video_is_enlarged_with_the_text_it_was_made_from(lab):
    _, run = lab.run("A wet street")
    (request,) = transfer_requests.enlarged([run.outputs / "v0.mp4"], 0.5, "A wet street, sharp", ())
    payload = dataclasses.replace(lab.payload(), requests=(request,))
    answer = transfer_run.run(lab.context(), payload)
    assert answer["items"][0]["name"] == "v0-large"


def test_any_is_the_free_one_then_the_warm_one_then_the_cheapest(lab):
    lab.host("dear", price=9.0)
    lab.host("cheap", price=1.0, slots=2)
    HostCards(lab.workspace).remove("box")
    payload = lab.payload("one", host="any")
    assert transfer_place.placed(lab.workspace, payload).host == "cheap"
    greedy = dataclasses.replace(payload, settings={**payload.settings, "room_gb": 1e9})
    with pytest.raises(NotReadyError, match="`cheap` has only"):
        transfer_place.placed(lab.workspace, greedy)
    with pytest.raises(NotReadyError, match="Free some there"):
        transfer_run.run(lab.context(), dataclasses.replace(greedy, host="cheap"))
    key = "transfer1-cli/edge"
    (lab.workspace.root / "hosts" / "dear" / "warm.json").write_text(json.dumps({"key": key, "time": time.time()}))
    assert transfer_place.placed(lab.workspace, payload).host == "dear"
    with Ledger.open(lab.workspace) as ledger:
        assert ledger.queue("host:cheap").concurrency == 2
        ledger.submit(NewJob("host:dear", "transfer.run", {}, "light"))
    assert transfer_place.placed(lab.workspace, payload).host == "cheap"


def test_what_a_host_lacks_for_the_controls_asked_is_said_before_anything_is_sent(lab, checkpoints_for):
    weights = lab.workspace.root.parent / "weights"
    lab.host("box", checkpoints=str(weights))
    with pytest.raises(NotReadyError, match=r"base_model\.pt.*download box google-t5/t5-11b .*--verify none"):
        lab.run("one")
    checkpoints_for(weights, "edge")
    assert lab.run("one")[0]["outcome"] == "done"
    deep = {"controls": {"depth": {"weight": 0.5, "map": str(lab.clip)}}}
    refusal = r"missing: nvidia/Cosmos-Transfer1-7B/depth_control\.pt\. Get"
    with pytest.raises(NotReadyError, match=refusal):
        lab.run("two", spec=deep)
    with pytest.raises(NotReadyError, match=refusal):
        transfer_place.placed(lab.workspace, lab.payload("two", spec=deep, host="any"))
    assert lab.run("two", spec=deep, verify="none")[0]["outcome"] == "done"
    assert len(list((lab.workspace.root.parent / "host-box" / "runs").iterdir())) == len(lab.starts()) == 2


def test_checkpoints_are_read_again_when_their_time_has_changed_and_refused_when_they_have(lab, checkpoints_for):
    weights = lab.workspace.root.parent / "weights"
    lab.host("box", checkpoints=str(weights))
    entries = {
        path.relative_to(weights).as_posix(): CheckpointFile(hash_file(path), path.stat().st_size, changed=1)
        for path in checkpoints_for(weights, "edge")
    }
    folder = HostCards(lab.workspace).folder("box")
    write_manifest(folder, CheckpointManifest(str(weights), entries))
    base = weights / "nvidia" / "Cosmos-Transfer1-7B" / "base_model.pt"
    needed = [name for name in entries if not name.endswith("/model")] + ["google-t5/t5-11b/"]

    def reads(how="quick"):
        context = lab.context()
        with transfer_host.connected(lab.workspace, "box", 2.0) as host:
            transfer_checkpoints.check(context, host, needed, how)
        return [event.data["message"].split()[2] for event in read_events(context.run.events)]

    assert reads() == ["6"]
    assert reads() == []
    os.utime(base)
    assert (reads(), reads(), reads("all")) == (["1"], [], ["6"])
    base.write_text("base_model.pT")
    with pytest.raises(NotReadyError, match=r"base_model\.pt is not what it was.*checkpoints manifest box"):
        reads()
    base.write_text("longer than that")
    with pytest.raises(NotReadyError, match=r"of another size: nvidia/Cosmos-Transfer1-7B/base_model\.pt\."):
        reads()
    assert reads("none") == []


def test_what_a_job_left_on_a_host_is_ended_with_it_seen_and_removed(lab):
    context, payload, workspace = lab.context(), lab.payload("one [hang]"), Workspace(lab.workspace.root)
    thread, _ = in_background(transfer_run.run, context, payload)
    wait_for(lab.starts)
    wait_for(lambda: work_of(context.run)["launches"][0]["state"] == "running")
    context.stop.requested = True
    thread.join(30)
    with Ledger.open(lab.workspace) as ledger:
        new = NewJob("host:box", "transfer.run", dataclasses.asdict(payload), "light", run=context.run.id)
        job = ledger.submit(new).id
    (row,) = workspace.host_runs_list("box").runs
    assert (row["id"], row["state"], row["job"], row["collected"]) == (f"{context.run.id}-000", "running", job, False)
    assert "it runs" in workspace.host_runs_remove("box", days=0, uncollected=True).kept[0]["reason"]
    card = HostCards(lab.workspace).get("box")
    HostCards(lab.workspace).change("box", address="far", user="me")  # a host whose key nobody has accepted
    said = workspace.jobs_stop(job).said
    assert "may go on" in said
    assert f"treadle host runs stop box {context.run.id}" in said
    HostCards(lab.workspace).keep(card)
    state = workspace.host_runs_list("box").runs[0]["state"]
    assert state == "running"
    assert "is ended" in workspace.jobs_discard(job).said
    assert (work_of(context.run)["launches"][0]["state"], work_of(context.run)["launches"][0]["ending"]) == (
        "ended",
        "cancelled",
    )
    with pytest.raises(NotReadyError, match="it is cancelled"):
        workspace.jobs_stop(job)
    listed = workspace.host_runs_list("box")
    assert (listed.runs[0]["state"], listed.removable, listed.bytes > 0) == ("cancelled", 1, True)
    assert workspace.host_runs_remove("box").removed == []  # it is young
    assert len(workspace.host_runs_remove("box", days=0, dry_run=True).removed) == 1
    assert workspace.host_runs_remove("box", run=[context.run.id]).bytes == listed.bytes
    assert workspace.host_runs_list("box").runs == []


def test_of_what_lies_on_a_host_only_runs_that_nobody_waits_for_are_removed(lab):
    workspace, root = Workspace(lab.workspace.root), lab.workspace.root.parent / "host-box" / "runs"
    transport = HostCards(lab.workspace).get("box").connect()
    waiting = lab.context().run
    write_json(waiting.path / "transfer.json", {"launches": [{"id": f"{waiting.id}-000", "state": "staging"}]})
    with Ledger.open(lab.workspace) as ledger:
        ledger.submit(NewJob("host:box", "transfer.run", {}, "light", run=waiting.id))
    strange, gone = "r-0123456789abcdef-000", "r-0123456789abcdeg-1"
    for name in (f"{waiting.id}-000", strange, gone):
        RunFolder(transport, str(root), name).stage({"a": b"x" * 9000})
    RunFolder(transport, str(root), gone).start(["false"])
    wait_for((root / gone / "rc").exists)
    wait_for(lambda: not RunFolder(transport, str(root), gone).state().alive)
    RunFolder(transport, str(root), strange).start(["sleep", "300"])
    assert workspace.host_runs_stop("box", [strange[:-4]]).stopped == [strange]
    (root / "mine").mkdir()
    (root / "r-0123456789abcdex-000").symlink_to(lab.code)
    (root / f".removed-{gone}-12").mkdir()
    rows = {row["id"]: (row["state"], row["collected"]) for row in workspace.host_runs_list("box").runs}
    assert rows == {f"{waiting.id}-000": ("staged", False), strange: ("cancelled", None), gone: ("failed", None)}
    kept = workspace.host_runs_remove("box", days=0)
    assert (len(kept.kept), kept.removed) == (3, [])
    done = workspace.host_runs_remove("box", days=0, uncollected=True)
    assert sorted(row["id"] for row in done.removed) == [strange, gone]
    assert "goes on with it" in done.kept[0]["reason"]
    assert sorted(path.name for path in root.iterdir()) == ["mine", "r-0123456789abcdex-000", f"{waiting.id}-000"]
    assert lab.code.is_dir()
    with pytest.raises(NotFoundError, match="host runs list box"):
        workspace.host_runs_stop("box", ["r-none"])
    assert workspace.host_runs_stop("box", [waiting.id]).stopped == []
    with Ledger.open(lab.workspace) as ledger:
        ledger.work.claim(WorkerIdentity.current(), {"light": 1})
    with pytest.raises(NotReadyError, match="treadle jobs stop 1"):
        workspace.host_runs_stop("box", [waiting.id])


def test_what_cannot_run_there_is_said_before_anything_is_queued(lab):
    root = str(lab.workspace.root / "x")
    HostCards(lab.workspace).keep(HostCard("bare", "local", root, ""))
    with pytest.raises(NotReadyError, match="treadle host add bare local --code FOLDER --replace"):
        transfer_place.placed(lab.workspace, lab.payload("one", host="bare"))
    with pytest.raises(UsageError, match="unknown key `colour`"):
        transfer_requests.specs(lab.payload("one", spec={"colour": 1}))


def serving(lab):
    """Processes of the model server that this lab has started."""
    mark = f"TREADLE_WARM={lab.workspace.root.parent}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def test_a_model_stays_loaded_for_what_follows_and_makes_room_in_time(lab):
    more = {"backend": "transfer1-server", "batch": True}
    try:
        first, run = lab.run("one", "two", idle_seconds=60.0, **more)
        assert first["items"][1]["state"] == "done"
        assert probe(run.outputs / "v1.mp4").frames == 4
        assert (first["saved_seconds"], first["launches"][0]["loaded_seconds"] > 0.5) == (0.0, True)
        second, _ = lab.run("three", idle_seconds=60.0, **more)
        assert second["saved_seconds"] == pytest.approx(first["launches"][0]["loaded_seconds"], abs=0.01)
        assert (lab.code / "loaded").read_text().count("\n") == 1
        assert transfer_place.placed(lab.workspace, lab.payload("x", **more)).host == "box"
        with pytest.raises(TransferFailedError, match="memory"):
            lab.run("four [crash]", **more)
        assert not serving(lab)  # what failed may be broken: the next one begins anew
        third, _ = lab.run("five", idle_seconds=0.3, **more)
        assert third["saved_seconds"] == 0.0
        wait_for(lambda: not serving(lab))
    finally:
        for pid in serving(lab):
            os.kill(pid, signal.SIGKILL)


def test_a_cut_link_costs_nothing_but_time(lab, ssh_server):
    card = ssh_server.card("far", code=str(lab.code), python=sys.executable)
    HostCards(lab.workspace).keep(card)
    ssh_server.program(
        "nvidia-smi",
        "#!/bin/sh\necho H100, 81559, 70000, 560\necho H100, 81559, 81000, 560\necho M10, [N/A], [N/A], 560\n",
    )
    context = lab.context()
    payload = lab.payload("one [slow] [flood]", "two", host="far", patience_seconds=60.0, batch=True, batch_size=0)
    thread, box = in_background(ending_of, context, payload)
    wait_for(lab.starts)
    ssh_server.cut()
    thread.join(60)
    assert box[0]["outcome"] == "done"
    assert box[0]["launches"][0]["at_once"] == 2  # as many as the fuller of the two GPUs holds
    here = (context.run.path / "launches" / "000" / "log").read_bytes()
    assert here == (ssh_server.root / "runs" / f"{context.run.id}-000" / "log").read_bytes()
    assert len(here) > 8 * 1024**2


def go_away(server):
    """Let nobody in and cut who is there; what runs detached goes on."""
    server.cut()
    server._process.kill()
    server._process.wait()
    server.cut()
    (server.folder / "log").write_text("")


def test_a_host_that_is_away_too_long_is_lost_and_found_again(lab, ssh_server):
    HostCards(lab.workspace).keep(ssh_server.card("far", code=str(lab.code), python=sys.executable))
    context = lab.context()
    payload = lab.payload("one [slow]", host="far", patience_seconds=0.5)
    thread, box = in_background(ending_of, context, payload)
    wait_for(lab.starts)
    go_away(ssh_server)
    thread.join(60)
    assert isinstance(box[0], HostLostError)
    assert f"treadle host runs stop far {context.run.id}" in str(box[0])
    assert work_of(context.run)["launches"][0]["state"] in {"starting", "running"}, "it had begun; we may not know yet"
    ssh_server.start()
    again = dataclasses.replace(payload, settings={**payload.settings, "patience_seconds": 60.0})
    answer = transfer_run.run(lab.context(context.run), again)
    assert (answer["outcome"], len(lab.starts())) == ("done", 1)


def test_what_the_newer_target_leaves_out_without_a_word_is_noticed(quick_folder):
    lab = Lab(quick_folder, "transfer25_target")
    texts = ["one", "two [unsafe]", "three [unfit]", "four"]
    answer, run = lab.run(*texts, batch=True, backend="transfer25-cli", spec={"sigma": 200.0})
    assert [item["state"] for item in answer["items"]] == ["done", "blocked", "blocked", "done"]
    assert len(lab.starts()) == 1
    told = [(event.type, event.data["item"]) for event in read_events(run.events) if event.type in {"item", "blocked"}]
    assert told == [("item", 0), ("blocked", 1), ("item", 3)]  # of a video that it refused, it says nothing
    single, _ = lab.run("four", backend="transfer25-cli", spec={"sigma": 200.0})
    assert single["items"][0]["sha256"] == answer["items"][3]["sha256"]


def test_steps_are_seen_and_settings_changed_while_a_video_is_made(quick_folder):
    lab = Lab(quick_folder, "diffusers_target")
    context = lab.context()
    spec = {"steps": 4, "guidance": 3.0}
    (context.run.path / "adjust.json").write_text('{"guidance": 4.5}')
    answer = transfer_run.run(context, lab.payload("one", backend="diffusers", spec=spec))
    assert answer["outcome"] == "done"
    events = read_events(context.run.events)
    steps = [event.data["step"] for event in events if event.type == "step"]
    assert steps == [1, 2, 3, 4]
    pictures = [context.run.path / event.data["picture"] for event in events if event.type == "preview"]
    assert len(pictures) == 4
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)
    assert "guidance of the clips: [4.5]" in context.run.log.read_text()
    for text in ("two [unsafe]", "three [unfit]"):  # of the second, the library makes a black video
        with pytest.raises(TransferBlockedError):
            lab.run(text, backend="diffusers", spec=spec)


PLAYS = """#!/bin/sh
# Plays the target inside of a container that holds nothing else: takes the flag for the folder, lays a video there.
while [ $# -gt 0 ]; do
  case "$1" in
    --video_save_folder) out=$2 ;;
    --checkpoint_dir) cat "$2/weights" ;;
  esac
  shift
done
echo "token ${#HF_TOKEN}, run $TREADLE_REMOTE_RUN"
mkdir -p "$out"
cat /base.mp4 > "$out/output.mp4"
echo "x - Saved video to $out/output.mp4"
"""


@pytest.fixture
def podman(quick_folder):
    """Flags of a podman whose images and containers lie in a folder of the test's own."""
    if shutil.which("podman") is None or shutil.which("busybox") is None or os.geteuid() != 0:
        pytest.skip("podman, runc and busybox-static are not installed, or this is not root")
    folder = quick_folder / "podman"
    flags = ["--storage-driver=vfs", "--cgroup-manager=cgroupfs", "--runtime=runc"]
    flags += [f"--root={folder}/root", f"--runroot={folder}/run", f"--tmpdir={folder}/t"]
    yield flags
    subprocess.run(["podman", *flags, "rm", "--all", "--force", "-t", "0"], capture_output=True)
    subprocess.run(["podman", *flags, "rmi", "--all", "--force"], capture_output=True)


def test_a_container_makes_a_video_with_its_secret_in_no_command_line(lab, podman, quick_folder, checkpoints_for):
    context = quick_folder / "image"
    context.mkdir()
    for name in ("sh", "env", "mkdir", "cat"):
        shutil.copy(shutil.which("busybox"), context / name)
    (context / "python3").write_text(PLAYS)
    (context / "python3").chmod(0o755)
    shutil.copy(lab.code / "base.mp4", context / "base.mp4")
    copies = "".join(f"COPY {name} /bin/{name}\n" for name in ("sh", "env", "mkdir", "cat", "python3"))
    (context / "Dockerfile").write_text(f"FROM scratch\n{copies}COPY base.mp4 /base.mp4\n")
    build = ["podman", *podman, "build", "--quiet", str(context)]
    built = subprocess.run(build, capture_output=True, text=True, check=True)
    checkpoints_for(quick_folder / "weights", "edge")
    (quick_folder / "weights" / "weights").write_text("weights are here\n")
    (quick_folder / "token").write_text("hf_secret")
    limits = ("--network=none", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")
    card = HostCard(
        "pod", "local", str(quick_folder / "pod"), "", runtime="podman", runtime_flags=tuple(podman), run_flags=limits,
        image=f"sha256:{built.stdout.strip()[-64:]}", checkpoints=str(quick_folder / "weights"),
        token_file=str(quick_folder / "token"),
    )  # fmt: skip
    HostCards(lab.workspace).keep(card)
    answer, run = lab.run("A wet street", host="pod")
    assert answer["outcome"] == "done"
    assert probe(run.outputs / "v0.mp4").frames == 4
    log = run.log.read_text()
    assert "weights are here" in log
    assert f"token 9, run {run.id}-000" in log
    kept = [path for path in (quick_folder / "pod").rglob("*") if path.is_file()]
    assert kept
    assert not any(
        b"hf_secret" in path.read_bytes() for path in [*kept, run.log, run.events, run.path / "transfer.json"]
    )
