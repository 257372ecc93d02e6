"""Runs: found, filtered, described, compared, drawn; all read from their folders, through the operations."""

from __future__ import annotations

import json
import math

import click.testing
import pytest

from treadle.base.errors import NotFoundError, NotReadyError, UsageError
from treadle.base.ids import made_at, new_id
from treadle.cli.main import application
from treadle.jobs.runs import create_run
from treadle.operations.api import Workspace
from treadle.store.workspace import WorkspaceFolder
from treadle.telemetry.curve_writer import CurveWriter
from treadle.telemetry.events import EventLog
from treadle.training.callbacks.curves import COLUMNS


@pytest.fixture
def lab(tmp_path):
    workspace = Workspace.create(tmp_path / "lab")
    workspace.new("bard", ["family.layers=2"], size="nano")
    workspace.new("poet", ["family.layers=3"], size="nano")
    return workspace


def trained(lab, model, steps=200, outcome="done", rate=1.0, **settings):
    """The folder of a run as a training writes it; its loss falls from 4 by exp(-rate * step / 100)."""
    folder = WorkspaceFolder(lab.root)
    rows = {row.key: row for row in lab.config_show([f"{key}={value}" for key, value in settings.items()]).settings}
    values = {}
    for key, row in rows.items():
        if "." not in key:  # a chosen preset
            continue
        place = values
        *path, last = key.split(".")
        for part in path:
            place = place.setdefault(part, {})
        place[last] = row.value
    origins = {key: {"layer": "built-in"} for key in rows if "." in key}
    request = {
        "model": lab.show(model).id,
        "unit": "steps",
        "amount": steps,
        "settings": {**values, "origins": origins},
    }
    run = create_run(folder, "train", request)
    log = EventLog(run.events)
    log.emit("training_started", kind="fresh", message="Training begins: 200 steps.", step=0)
    writer = CurveWriter(run.curves, COLUMNS, 0)
    for step in range(1, steps + 1):
        loss = 4 * math.exp(-rate * step / 100)
        row = {"loss": loss, "seconds": step / 10, "epoch": step / 50, "targets_per_second": 1000.0}
        writer.add(step, row | ({"held_out_loss": loss + (0.5 if step > 150 else 0)} if step % 50 == 0 else {}))
        log.emit("progress", step=step, loss=loss)
    log.emit("sample", step=steps, epoch=4.0, text="Once upon a time", seed=1)
    writer.close()
    log.close()
    if outcome:
        run.write_result({"outcome": outcome, "value": {"step": steps, "processor_seconds": 12.5, "memory_bytes": 9}})
    return run.id


def command(lab, *words):
    found = click.testing.CliRunner().invoke(
        application, [*words, "--workspace", str(lab.root)], catch_exceptions=False
    )
    assert found.exit_code == 0, found.output
    return found.output


def test_a_run_without_a_name_sorts_by_its_time():
    assert abs(made_at(new_id("r")) - 1.7e9) < 1e9
    assert made_at("r-") == made_at("nonsense!") == 0.0


def test_the_list_tells_last_best_and_the_loss_at_a_step(lab):
    first, second = trained(lab, "bard"), trained(lab, "poet", rate=2.0)
    found = lab.runs_list(at=100)
    assert [row.id for row in found.runs] == [second, first]
    row = found.runs[1]
    assert (row.model, row.outcome, row.step, row.best_step) == ("bard", "done", 200, 150)
    assert row.best == pytest.approx(4 * math.exp(-1.5), rel=1e-4)
    assert row.last == pytest.approx(4 * math.exp(-2) + 0.5, rel=1e-4)
    assert row.at == pytest.approx(sum(4 * math.exp(-step / 100) for step in range(81, 101)) / 20, rel=1e-4)
    assert (row.targets_per_second, row.processor_seconds, row.target) == (1000.0, 12.5, "200 steps")
    shown = command(lab, "runs", "list", "--at", "100")
    assert first in shown
    assert "at 100" in shown


def test_runs_are_filtered_by_model_kind_outcome_and_setting(lab):
    kept = trained(lab, "bard", **{"training.batch_size": 7})
    lost = trained(lab, "poet", outcome="")
    assert [row.id for row in lab.runs_list("bard").runs] == [kept]
    assert [row.id for row in lab.runs_list(where=["training.batch_size=7"]).runs] == [kept]
    assert lab.runs_list(where=["training.batch_size=7", "family.layers=99"]).runs == []
    assert [row.id for row in lab.runs_list(outcome="waiting").runs] == [lost]
    assert lab.runs_list(kind="feed").total == 0
    assert (lab.runs_list(count=1).total, len(lab.runs_list(count=1).runs)) == (2, 1)
    with pytest.raises(UsageError, match="no condition"):
        lab.runs_list(where=["training.batch_size"])


def test_a_run_is_described_with_its_samples_and_settings(lab):
    run = trained(lab, "bard")
    found = lab.runs_show("bard")
    assert found.run.id == run
    assert [sample["text"] for sample in found.samples] == ["Once upon a time"]
    assert [note["type"] for note in found.notes] == ["training_started"]
    assert {"loss", "held_out_loss", "seconds"} <= set(found.columns)
    assert "accuracy" not in found.columns
    assert {row["key"] for row in found.settings} >= {"training.batch_size", "family.layers"}
    assert "Once upon" in command(lab, "runs", "show", run)


def test_samples_of_several_runs_stand_in_the_order_of_their_steps(lab):
    long, short = trained(lab, "bard", steps=200), trained(lab, "poet", steps=100)
    found = lab.runs_samples([long, short, "bard"]).samples
    assert [(sample["run"], sample["step"]) for sample in found] == [(short, 100), (long, 200)]
    assert "step 200" in command(lab, "runs", "samples", "bard")


def test_a_comparison_shows_only_what_differs(lab):
    runs = [trained(lab, "bard"), trained(lab, "poet", **{"training.batch_size": 7, "training.clip": 0.5})]
    found = lab.runs_compare(runs)
    assert {row["key"]: row["values"][1] for row in found.differing} == {"training.batch_size": 7, "training.clip": 0.5}
    assert found.alike > 30
    assert "training.clip" in command(lab, "runs", "compare", "bard", "poet")
    with pytest.raises(UsageError, match="at least two"):
        lab.runs_compare([runs[0], "bard"])


def test_curves_are_read_by_step_time_and_epoch(lab):
    run = trained(lab, "bard")
    (curve,) = lab.runs_metrics(["bard"], points=20).curves
    assert (curve["run"], curve["model"], curve["width"], curve["x"][-1]) == (run, "bard", 16, 200)
    assert curve["min"][0] < curve["mean"][0] < curve["max"][0]
    loss, held_out = lab.runs_metrics(["bard"], metric=["loss", "held_out_loss"], by="seconds").curves
    assert loss["x"][-1] == pytest.approx(20)
    assert (len(held_out["x"]), held_out["min"]) == (4, [])
    part = lab.runs_metrics(["bard"], by="epoch", first=51, last=60).curves[0]
    assert (part["x"][0], len(part["x"])) == (pytest.approx(51 / 50), 10)
    assert "step 16 to 200" in command(lab, "runs", "metrics", "bard", "--points", "20")


def test_a_run_without_a_curve_says_so_and_others_go_on(lab):
    with pytest.raises(NotReadyError, match="never trained"):
        lab.runs_metrics(["bard"])
    run = trained(lab, "bard")
    other = create_run(WorkspaceFolder(lab.root), "feed", {"model": lab.show("poet").id}).id
    with pytest.raises(NotReadyError, match="has no curve"):
        lab.runs_metrics([other])
    assert [curve["run"] for curve in lab.runs_metrics([run, other]).curves] == [run]
    with pytest.raises(UsageError, match="No metric `los`"):
        lab.runs_metrics([run], metric=["los"])
    with pytest.raises(NotFoundError, match="No run `r-nothing`"):
        lab.runs_show("r-nothing")


def test_a_damaged_run_is_listed_and_harms_no_other(lab):
    run = trained(lab, "bard")
    (lab.root / "runs" / "r-01broken").mkdir()
    found = lab.runs_list()
    assert [(row.id, row.outcome) for row in found.runs if row.id != run] == [("r-01broken", "waiting")]
    (lab.root / "runs" / run / "result.json").write_text("{")
    assert lab.runs_list("bard").runs[0].outcome == "unknown"


def test_lineage_is_a_graph_of_models_and_what_they_came_from(lab):
    run = trained(lab, "bard")
    lab.copy("bard", "ballad")
    found = lab.runs_lineage()
    kinds = {node["id"]: node["kind"] for node in found.nodes}
    assert kinds[run] == "run"
    assert [edge["says"] for edge in found.edges] == ["copied"]
    names = {node["label"] for node in lab.runs_lineage("ballad").nodes if node["kind"] == "model"}
    assert names == {"bard", "ballad"}
    assert "copied" in command(lab, "runs", "lineage")
    assert json.loads(command(lab, "runs", "lineage", "poet", "--json"))["edges"] == []
