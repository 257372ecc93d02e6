"""The pages of the queue, without a browser: what they show, and what they let whom do."""

import re
import time

import pytest

from treadle.jobs.identity import WorkerIdentity
from treadle.jobs.job import NewJob
from treadle.jobs.ledger import Ledger
from treadle.jobs.runs import create_run

PROBE = '<script>alert("x")</script>'


@pytest.fixture
def ledger(workspace):
    with Ledger.open(workspace) as opened:
        yield opened


def submit(ledger, number, queue="model:m-gone", **facts):
    return [ledger.submit(NewJob(queue, "train", {"model": "m-gone", "unit": "minutes", "amount": n, **facts}))
            for n in range(1, number + 1)]  # fmt: skip


def test_an_empty_queue_says_what_would_stand_there(client):
    text = client.get("/queue").text
    assert "Nothing waits" in text
    assert "No schedules." in text


def test_waiting_jobs_stand_in_their_order_with_what_can_be_done(client, ledger):
    submit(ledger, 3)
    text = client.get("/queue").text
    assert re.findall(r'<span class="number">(\d)</span>', text) == ["1", "2", "3"]
    assert re.findall(r'id="job-(\d)" data-job="\d" tabindex="0"', text) == ["1", "2", "3"]
    assert 'aria-label="Move job 2 up"' in text
    assert "No worker lives" in text
    assert "Start paused, to look around first" in text


def test_a_held_job_stands_aside_and_can_be_released(client, call, ledger):
    submit(ledger, 2)
    assert call("jobs.hold", job=1)["job"]["held"]
    text = client.get("/queue").text
    assert re.findall(r'<span class="number">(\d)</span>', text) == ["1"]
    assert 'aria-label="Release job 1"' in text
    assert "it is held<" in text, "the command that the button stands for is not told"
    assert call("jobs.list")["jobs"][1]["held"]


def test_a_paused_queue_can_be_resumed_from_the_page(client, call, ledger):
    submit(ledger, 1)
    call("jobs.pause", model="model:m-gone")
    text = client.get("/queue").text
    assert ">paused</span>" in text
    assert "Resume the queue of model:m-gone" in text
    assert "its queue is paused<" in text


def test_a_worker_that_died_is_told_of_until_somebody_has_seen_it(client, call, ledger):
    submit(ledger, 1)
    me = WorkerIdentity.current()
    ledger.work.register(WorkerIdentity(me.host, me.boot, 2**22 + 1, "1"), {})
    for _ in range(2):
        assert "ended without notice" in client.get("/queue").text
    call("worker.status")
    assert "ended without notice" not in client.get("/queue").text


def test_texts_of_others_are_shown_as_texts(client, ledger):
    job = submit(ledger, 1, queue=f"crawl:{PROBE}", note=PROBE)[0]
    me = WorkerIdentity.current()
    claim = ledger.work.claim(me, {"heavy": 1})
    ledger.work.fail(claim, PROBE, again=False)
    for page in ("/queue", f"/queue/{job.id}"):
        text = client.get(page).text
        assert PROBE not in text
        assert "&lt;script&gt;" in text


def test_one_job_shows_what_was_asked_and_what_it_printed(client, call, workspace, ledger):
    run = create_run(workspace, "train", {})
    settings = {"training": {"batch_size": 8}, "origins": {"training.batch_size": "flag"}, "choices": {}}
    asked = {"model": "m-gone", "unit": "minutes", "amount": 2.5, "settings": settings}
    job = ledger.submit(NewJob("model:m-gone", "train", asked, run=run.id))
    text = client.get(f"/queue/{job.id}").text
    assert "Queued as number 1." in text
    assert "2.5 min" in text
    assert "<code>training.batch_size</code></th><td>8</td><td" in text
    assert "it has not begun" in text
    assert 'data-operation="jobs.edit"' in text

    ledger.work.claim(WorkerIdentity.current(), {"heavy": 1})
    run.log.write_text("über\nsecond\n")
    text = client.get(f"/queue/{job.id}").text
    assert "über\nsecond\n" in text
    assert 'data-end="13"' in text
    assert 'data-operation="jobs.edit"' not in text, "it works on its snapshot"
    with run.log.open("a") as log:
        log.write("third\n")
    assert call("jobs.log", job=job.id, begin=13) == {"job": job.id, "path": str(run.log), "text": "third\n", "end": 19}
    with run.log.open("a") as log:
        log.write('@treadle {"type": "preview"}\nfourth\n@trea')
    told = {"text": "fourth\n", "end": 19 + 29 + 7}
    assert call("jobs.log", job=job.id, begin=19) == {"job": job.id, "path": str(run.log), **told}, "for people only"


def test_a_request_of_a_job_is_named_and_not_printed_as_a_tree(client, workspace, ledger):
    spec = {"name": "dusk", "text": "A wet street.", "controls": {"edge": {"weight": 0.6}}}
    asked = {"host": "gpu1", "requests": [{"spec": spec, "prompt": {"name": "dusk"}}], "batch": False}
    run = create_run(workspace, "transfer.run", asked)
    job = ledger.submit(NewJob("host:gpu1", "transfer.run", asked, run=run.id))
    assert "in the gallery" not in client.get(f"/queue/{job.id}").text
    (run.outputs / "dusk.png").write_bytes(b"picture")
    run.write_result({"outcome": "done", "value": {}})
    text = client.get(f"/queue/{job.id}").text
    assert f'href="/gallery?q={run.id}">1 in the gallery' in text
    assert "<dt>Requests</dt><dd>dusk</dd>" in text
    assert "transfer run" in client.get("/").text.lower()


def test_an_unknown_job_is_a_page_that_says_so(client):
    answer = client.get("/queue/99")
    assert answer.status_code == 404
    assert "99" in answer.text


def test_a_viewer_sees_the_queue_and_no_buttons(logged_in, ledger):
    job = submit(ledger, 2)[0]
    vic = logged_in("vic")
    for page in ("/queue", f"/queue/{job.id}"):
        text = vic.get(page).text
        assert "data-call" not in text
        assert "data-operation" not in text
    assert "data-line" not in vic.get("/queue").text
    assert "jobs.discard" not in logged_in("olga").get("/queue").text


def test_a_worker_is_started_paused_so_that_nothing_begins_before_somebody_has_looked(client, call, ledger):
    submit(ledger, 1)
    assert "all queues are paused" in call("worker.start", paused=True)["said"]
    deadline = time.monotonic() + 60
    while not call("worker.status")["live"]:
        assert time.monotonic() < deadline, "no worker came"
        time.sleep(0.05)
    assert "lives already" in call("worker.start")["said"]
    text = client.get("/queue").text
    assert "a worker lives" in text
    assert "Start paused" not in text
    assert call("jobs.list")["paused"] == ["model:m-gone"]
    call("worker.stop")
