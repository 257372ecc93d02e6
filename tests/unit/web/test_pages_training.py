"""The pages of models, training, runs and the machine: what they show of what is there, without a browser."""

from __future__ import annotations

import json
import math
import re
import time

import pytest

from treadle.jobs.presence import worker_folder
from treadle.jobs.runs import create_run
from treadle.telemetry.curve_writer import CurveWriter
from treadle.telemetry.events import EventLog
from treadle.telemetry.hardware_history import FILE, Sampler
from treadle.training.callbacks.curves import COLUMNS


@pytest.fixture
def models(call):
    call("new", name="bard", size="nano")
    call("new", name="digits", size="nano", family="image_classifier")
    return {one["name"]: one["id"] for one in call("list")["models"]}


@pytest.fixture
def run(workspace, models):
    """A training that is over, with its curve and two samples."""
    settings = {"training": {"batch_size": 3}, "origins": {"training.batch_size": {"layer": "command line"}}}
    made = create_run(
        workspace, "train", {"model": models["bard"], "unit": "epochs", "amount": 4.0, "settings": settings}
    )
    writer = CurveWriter(made.curves, COLUMNS, 0)
    for step in range(1, 101):
        loss = 4 * math.exp(-step / 100)
        writer.add(step, {"loss": loss, "held_out_loss": loss + 0.1 if step % 50 == 0 else None, "seconds": step / 10})
    writer.close()
    log = EventLog(made.events)
    log.emit("sample", step=50, epoch=2.0, text="<b>first</b>", seed=1)
    log.close()
    made.write_result({"outcome": "done", "value": {"step": 100}})
    return made.id


def shown(client, path, status=200):
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    return answer.text


def test_pages_of_an_empty_workspace_say_what_to_do(client):
    assert "No models yet" in shown(client, "/models")
    assert "There is no model yet" in shown(client, "/train")
    assert "No such runs" in shown(client, "/runs")
    assert "Nothing yet" in shown(client, "/runs/lineage")
    assert "This machine" in shown(client, "/system")


def test_models_are_cards_and_one_of_them_is_shown_in_full(client, models, run):
    cards = shown(client, "/models")
    assert "/models?model=bard" in cards
    assert 'data-operation="new"' in cards
    page = shown(client, "/models?model=bard")
    for title in ("What it is", "Documents", "Tokens", "Runs", "Settings", "Copy", "Rename", "Delete"):
        assert f">{title}" in page
    assert run in page
    assert 'name="training.batch_size"' in page
    assert "built-in" in page
    shown(client, "/models?model=nobody", status=404)


def test_settings_are_fields_of_their_kind_with_limits(client, models):
    page = shown(client, "/train?model=bard")
    field = re.search(r'<input id="run-training-batch_size"[^>]*>', page)[0]
    assert 'type="number"' in field
    assert 'min="1"' in field
    assert re.search(r'<select id="run-training-learner"[^>]*>.*?<option selected>auto</option>', page, re.DOTALL)
    assert re.search(r'<input type="checkbox" id="run-training-keep_best"[^>]* checked', page)


def test_what_the_weights_fix_is_shown_with_its_reason(call, models):
    from treadle.web.setting_fields import setting_fields

    rows = call("config.show", model="bard")["settings"]
    limits = call("show", model="bard")["limits"]
    free = {field.name: field for _, fields in setting_fields(rows, limits, has_weights=False) for field in fields}
    bound = {field.name: field for _, fields in setting_fields(rows, limits, has_weights=True) for field in fields}
    assert not any(field.fixed for field in free.values())
    assert bound["family.width"].reason == "the shape of the weights is fixed once they exist"
    assert not bound["family.layers"].fixed
    assert "more, by `treadle set`" in bound["family.layers"].help
    assert not bound["training.batch_size"].fixed


def test_the_page_of_training_draws_the_runs_of_its_model(client, run):
    page = shown(client, "/train?model=bard")
    assert f'data-runs="{run}"' in page
    assert "Asked for: 4 epochs." in page
    assert 'value="more"' in page
    assert f'data-draw="{run}"' not in shown(client, "/train?model=digits").partition("other-runs")[0]


def test_runs_are_filtered_and_a_wrong_filter_is_told(client, run):
    assert run in shown(client, "/runs?of=bard&at=50")
    assert "At 50" in shown(client, "/runs?at=50")
    assert run in shown(client, "/runs?where=training.batch_size=3")
    assert run not in shown(client, "/runs?where=training.batch_size=4")
    assert run not in shown(client, "/runs?outcome=failed")
    assert "is no condition" in shown(client, "/runs?where=nonsense")
    assert "Unknown model" in shown(client, "/runs?of=nobody")


def test_one_run_is_shown_and_what_it_wrote_is_escaped(client, call, run):
    page = shown(client, f"/runs/{run}")
    assert "4 epochs" in page
    assert "command line" in page
    assert call("runs.show", run=run)["samples"][0]["text"] == "<b>first</b>"
    shown(client, "/runs/r-none", status=404)


def test_lineage_is_told_as_data_and_as_a_table(client, run):
    page = shown(client, "/runs/lineage")
    data = json.loads(re.search(r'id="graph-data">(.*?)</script>', page, re.DOTALL)[1])
    assert run in {node["id"] for node in data["nodes"]}
    assert run not in shown(client, "/runs/lineage?model=digits")


def test_the_machine_is_shown_with_history_disk_and_accounts(client, workspace):
    assert "data-no-history" in shown(client, "/system")
    Sampler(worker_folder(workspace) / FILE).sample()
    page = shown(client, "/system?minutes=360")
    history = json.loads(re.search(r'id="history-data">(.*?)</script>', page, re.DOTALL)[1])
    assert len(history["time"]) >= 1
    for title in ("Workers", "Disk", "Users", "Plugins"):
        assert f">{title}" in page
    shown(client, "/system?minutes=99999999")


def test_viewers_see_no_buttons_that_they_may_not_press(logged_in, run_of_accounts):
    viewer, operator = logged_in("vic"), logged_in("olga")
    page = shown(viewer, "/models?model=bard")
    assert "settings-form" not in page
    assert ">Delete" not in page
    assert 'id="train-form"' not in shown(viewer, "/train?model=bard")
    assert ">Users" not in shown(viewer, "/system")
    assert "settings-form" in shown(operator, "/models?model=bard")
    assert ">Delete" not in shown(operator, "/models?model=bard")


@pytest.fixture
def run_of_accounts(workspace):
    """A model in a workspace with accounts, made without the web."""
    from treadle.operations.api import Workspace

    Workspace(workspace.root).new("bard", size="nano")


def test_the_server_samples_the_machine_while_it_lives(client, call, workspace):
    deadline = time.monotonic() + 60
    while not (found := call("system.history", minutes=1.0)["time"]) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert found
    assert (worker_folder(workspace) / FILE).is_file()


def test_a_model_of_videos_is_not_asked_to_write(client, call):
    call("new", name="mover", size="nano", family="video_flow")
    assert "mover makes videos" in client.get("/generate?model=mover").text
    text = client.get("/").text
    assert "Make a video" in text
    assert "/generate?model=mover" not in text


def test_presets_are_known_by_what_their_networks_read(client, call):
    call("new", name="eyes", size="nano", family="vit")
    call("new", name="elder", size="nano", family="gpt2")
    assert {one["name"]: one["unit"] for one in call("list")["models"]} == {"eyes": "pictures", "elder": "tokens"}
    text = shown(client, "/")
    assert "/generate?model=eyes" not in text
    assert "/generate?model=elder" in text
