import pytest

from treadle.base.errors import NotFoundError, UsageError
from treadle.jobs.job import NewJob

A = "model:m-a"


def test_a_submitted_job_waits_and_knows_its_place(ledger):
    first = ledger.submit(NewJob(A, "train", {"model": "m-a", "text": "ü"}))
    second = ledger.submit(NewJob(A, "train", {}))
    assert (first.state, first.place) == ("ready", 1)
    assert (second.state, second.place) == ("ready", 2)
    assert ledger.get(first.id).payload == {"model": "m-a", "text": "ü"}
    assert ledger.queue(A).owner_kind == "model"
    assert ledger.queue("model:m-b") is None


def test_jobs_outlive_the_process_that_submitted_them(ledgers):
    with ledgers.open() as ledger:
        made = ledger.submit(NewJob(A, "train", {"n": 1}, dedup_key="k", max_attempts=3, priority=2))
    with ledgers.open() as ledger:
        assert ledger.get(made.id) == made


def test_each_lane_counts_its_own_places(ledger):
    ledger.submit(NewJob(A, "train", {}))
    assert ledger.submit(NewJob(A, "feed", {}, lane="light")).place == 1


def test_a_second_job_with_the_same_key_is_the_first_one(ledger):
    first = ledger.submit(NewJob(A, "train", {"n": 1}, dedup_key="key"))
    assert ledger.submit(NewJob(A, "train", {"n": 2}, dedup_key="key")) == first
    assert len(ledger.jobs()) == 1
    keys = ["a", None, "key", "a", None, "b"]
    made = ledger.submit_many([NewJob(A, "train", {"n": n}, dedup_key=key) for n, key in enumerate(keys)])
    assert [job.payload["n"] for job in made] == [0, 1, 1, 0, 4, 5]
    assert len({job.id for job in made}) == 5
    assert [job.payload["n"] for job in ledger.jobs(A)] == [1, 0, 1, 4, 5]


def test_many_jobs_are_submitted_wholly_or_not_at_all(ledger):
    made = ledger.submit_many([NewJob(A, "train", {"n": n}) for n in range(5)])
    assert [job.payload["n"] for job in ledger.jobs(A)] == [0, 1, 2, 3, 4]
    with pytest.raises(NotFoundError):
        ledger.submit_many([NewJob(A, "train", {}), NewJob(A, "train", {}, waits_on=(99999,))])
    assert [job.id for job in ledger.jobs(A)] == [job.id for job in made]
    assert len(ledger.events()) == 5


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (NewJob("m-a", "train", {}), "OWNER_KIND:OWNER_ID"),
        (NewJob(A, "train", {}, lane="heavie"), "heavy, light"),
        (NewJob(A, "train", {}, if_failed="maybe"), "block, cancel, run"),
        (NewJob(A, "train", {}, max_attempts=0), "at least 1"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(ledger, wrong, message):
    with pytest.raises(UsageError, match=message):
        ledger.submit(wrong)
    assert ledger.jobs() == []


def test_an_unknown_job_is_an_error_and_not_done(ledger):
    with pytest.raises(NotFoundError, match="jobs list"):
        ledger.get(1)


def test_values_that_json_cannot_say_are_refused_before_anything_is_written(ledger):
    with pytest.raises(ValueError, match="JSON"):
        ledger.submit(NewJob(A, "train", {"loss": float("nan")}))
    assert ledger.jobs() == []
