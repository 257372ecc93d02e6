"""The disk: what takes it, and what may be freed without harm. The machine and its plugins."""

from __future__ import annotations

import dataclasses
import json
import os
import time

import click.testing
import pytest

from treadle.base.errors import UsageError
from treadle.base.files import write_json
from treadle.cli.main import application
from treadle.jobs.presence import worker_folder
from treadle.jobs.runs import create_run
from treadle.operations.api import Workspace
from treadle.recipes.gallery_notes import Note
from treadle.store.workspace import WorkspaceFolder
from treadle.telemetry.hardware_history import FILE, Sampler


@pytest.fixture
def lab(tmp_path):
    return Workspace.create(tmp_path / "lab")


def command(lab, *words):
    place = [] if words[0] == "plugins" else ["--workspace", str(lab.root)]
    found = click.testing.CliRunner().invoke(application, [*words, *place], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def put(path, size=10_000, days=0.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    moment = time.time() - days * 86_400
    os.utime(path, (moment, moment))
    return path


def test_the_disk_is_told_by_kind_and_a_linked_file_counts_once(lab):
    lab.new("bard")
    folder = lab.root / "models" / lab.show("bard").id / "checkpoints" / "step-00000001"
    weights = put(folder / "model.safetensors", 100_000)
    os.link(weights, folder / "model-again.safetensors")
    put(folder / "packed-int8.bin", 50_000)
    put(lab.root / "objects" / "ab" / "cd" / "x", 20_000)
    found = lab.system_disk()
    sizes = {row["kind"]: row["bytes"] for row in found.kinds}
    assert 100_000 <= sizes["weights"] < 120_000
    assert 50_000 <= sizes["packed"] < 60_000
    assert sizes["text"] >= 20_000
    assert found.total == sum(sizes.values())
    assert found.models[0]["model"] == "bard"
    assert "treadle system clean packed" in command(lab, "system", "disk")


def test_the_trash_is_emptied_of_what_is_old(lab):
    old, young = put(lab.root / "trash" / "old", days=10), put(lab.root / "trash" / "young", days=1)
    assert [entry["path"] for entry in lab.system_clean("trash", dry_run=True).entries] == [str(old)]
    assert old.exists()
    assert lab.system_clean("trash").bytes >= 10_000
    assert (old.exists(), young.exists()) == (False, True)
    assert "nothing" in command(lab, "system", "clean", "trash")
    with pytest.raises(UsageError, match="--days is -1"):
        lab.system_clean("trash", days=-1)


def test_leftovers_of_the_killed_go_and_those_of_the_living_stay(lab):
    dead = put(lab.root / "models" / ".m-1.abc.tmp" / "x", days=2).parent
    os.utime(dead, (time.time() - 2 * 86_400,) * 2)
    alive = put(lab.root / "runs" / ".r-1.def.tmp")
    lab.system_clean("leftovers", days=0)
    assert (dead.exists(), alive.exists()) == (False, True)


def test_packed_weights_and_uploads_go(lab):
    packed = put(lab.root / "models" / "m-1" / "checkpoints" / "step-1" / "packed-int8.bin", days=9)
    sent = put(lab.root / "uploads" / "u-1" / "file", days=9).parent
    arriving = put(lab.root / "uploads" / "u-2" / "data").parent
    for folder in (sent, arriving):
        os.utime(folder, (time.time() - 9 * 86_400,) * 2)
    lab.system_clean("packed")
    lab.system_clean("uploads")
    assert (packed.exists(), sent.exists(), arriving.exists()) == (False, False, True)


def test_runs_that_have_ended_go_to_the_trash_and_others_stay(lab):
    folder = WorkspaceFolder(lab.root)
    ended, open_ = create_run(folder, "feed", {}), create_run(folder, "feed", {})
    ended.write_result({"outcome": "done", "value": {}})
    found = lab.system_clean("runs", days=0)
    assert [entry["path"] for entry in found.entries] == [str(ended.path)]
    assert (lab.root / "trash" / ended.id / "spec.yaml").is_file()
    assert open_.path.is_dir()
    assert "to the trash" in found.said


def test_a_run_with_a_rated_result_stays_and_launches_here_go_with_their_run(lab):
    folder = WorkspaceFolder(lab.root)
    rated, other = create_run(folder, "video.smooth", {}), create_run(folder, "transfer.run", {})
    for run in (rated, other):
        run.write_result({"outcome": "done", "value": {}})
        put(lab.root / "hosts" / "local" / "runs" / f"{run.id}-000" / "log")
    note = Note("g-0123456789", rated.id, "video", "walk.mp4", "walk.mp4", 0.0, rating=0)
    write_json(lab.root / "gallery" / f"{note.id}.json", {"format": 1, **dataclasses.asdict(note)})
    lab.system_clean("runs", days=0)
    assert rated.path.is_dir()
    assert sorted(path.name for path in (lab.root / "trash").iterdir()) == [other.id, f"{other.id}-000"]
    assert [path.name for path in (lab.root / "hosts" / "local" / "runs").iterdir()] == [f"{rated.id}-000"]


def test_the_machine_is_told_with_its_history(lab):
    found = lab.system_status()
    assert found.cores >= 1
    assert found.database == "SQLite"  # though nothing was queued yet, so that there is none
    assert 0 < found.memory_available <= found.memory_total
    assert lab.system_history().time == []
    assert "Nothing was sampled" in command(lab, "system", "history")
    Sampler(worker_folder(WorkspaceFolder(lab.root)) / FILE).sample()
    history = lab.system_history(minutes=1440, points=10)
    assert len(history.time) == len(history.processor) == len(history.disk_free) == 1
    assert "memory" in command(lab, "system", "status")
    assert "at most" in command(lab, "system", "history", "--minutes", "5")
    with pytest.raises(UsageError, match="a day"):
        lab.system_history(minutes=9999)


def test_plugins_are_listed_with_what_can_be_plugged_in(lab):
    found = json.loads(command(lab, "plugins", "list", "--json"))
    kinds = {row["kind"]: row["built_in"] for row in found["kinds"]}
    assert "gpt" in kinds["family"]
    assert "train" in kinds[next(kind for kind in kinds if "job" in kind)]
    assert "treadle.family" in command(lab, "plugins", "list")
