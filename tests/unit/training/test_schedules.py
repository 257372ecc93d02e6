from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from treadle.base.errors import UsageError
from treadle.training.schedules import Budget, Place, make_schedule, schedule_from_json

if TYPE_CHECKING:
    from conftest import Bench


def test_warm_up_hold_and_cool_down_to_the_last_step() -> None:
    schedule = make_schedule(Budget("steps", 10), Place(), 20, warmup_steps=2, cooldown=0.5)
    scales = [schedule.rate_scale(Place(step=step)) for step in range(10)]
    assert scales == pytest.approx([0.5, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2])
    assert [schedule.cooling(Place(step=step)) for step in (4, 5)] == [False, True]
    assert not schedule.done(Place(step=9))
    assert schedule.done(Place(step=10))


def test_without_warm_up_and_cool_down_the_rate_is_constant() -> None:
    schedule = make_schedule(Budget("steps", 4), Place(), 20, warmup_steps=0, cooldown=0)
    assert [schedule.rate_scale(Place(step=step)) for step in range(4)] == [1, 1, 1, 1]
    assert not schedule.cooling(Place(step=3))


def test_epochs_are_measured_in_examples() -> None:
    schedule = make_schedule(Budget("epochs", 3), Place(), 10, warmup_steps=0, cooldown=0.5)
    assert schedule.total_steps(Place(), 4) == 8
    assert schedule.cooling(Place(examples=15))
    assert not schedule.done(Place(examples=29))
    assert schedule.done(Place(examples=30))
    assert schedule.fraction(Place(examples=15)) == 0.5


def test_epochs_on_earlier_versions_of_the_data_count() -> None:
    place = Place(step=100, examples=0, epochs_before=2.5)
    schedule = make_schedule(Budget("epochs", 4), place, 10, warmup_steps=0, cooldown=0)
    assert schedule.end == 15
    assert place.epochs(10) == 2.5


def test_minutes_fall_by_the_clock() -> None:
    schedule = make_schedule(Budget("minutes", 2), Place(step=50), 10, warmup_steps=0, cooldown=0.5)
    assert schedule.rate_scale(Place(step=60, seconds=59)) == 1
    assert schedule.rate_scale(Place(step=70, seconds=90)) == pytest.approx(0.5)
    assert schedule.rate_scale(Place(step=90, seconds=130)) == 0
    assert schedule.total_steps(Place(step=60), 4) is None
    assert schedule.done(Place(seconds=120))


def test_a_cool_down_that_should_have_begun_begins_now() -> None:
    schedule = make_schedule(Budget("steps", 100), Place(step=90), 20, warmup_steps=0, cooldown=0.5)
    assert schedule.cooldown_start == 90
    assert schedule.rate_scale(Place(step=90)) == 1
    assert schedule.rate_scale(Place(step=95)) == 0.5


def test_a_schedule_survives_json() -> None:
    schedule = make_schedule(Budget("epochs", 3), Place(), 10, warmup_steps=0, cooldown=0.5)
    assert schedule_from_json(json.loads(json.dumps(schedule.to_json()))) == schedule


@pytest.mark.parametrize("amount", [0, -1, float("nan"), float("inf")])
def test_a_budget_of_nothing_is_refused(amount: float) -> None:
    with pytest.raises(UsageError, match="steps to train must be greater than 0"):
        Budget("steps", amount)


def test_a_budget_reads_as_people_say_it() -> None:
    assert [str(Budget("epochs", 1)), str(Budget("minutes", 2.5))] == ["1 epoch", "2.5 minutes"]


def finish(bench: Bench, budget: Budget, **parts: Any) -> Any:
    training = bench.training(budget, **parts)
    outcome = training.run()
    return training, outcome


def test_ten_epochs_and_then_twenty_are_twenty_at_once(bench: Bench) -> None:
    """The stated margin is none: from the stem on, the steps are the very same."""
    first, outcome = finish(bench, Budget("epochs", 10))
    assert outcome.epochs == 10
    second, outcome = finish(bench, Budget("epochs", 20), run="run-2")
    assert second.start.kind == "continued"
    assert second.start.place.step == first.place.step / 2  # the stem: half of the budget was the cool-down
    assert "before the last cool-down" in second.start.describe()
    other = type(bench)(bench.path / "other")
    at_once, expected = finish(other, Budget("epochs", 20))
    assert outcome.step == expected.step == 100
    assert outcome.epochs == expected.epochs == 20
    assert (second.learner.table == at_once.learner.table).all()
    assert outcome.evaluation.loss == expected.evaluation.loss


def test_fewer_epochs_than_trained_is_an_error_with_the_minimum(bench: Bench) -> None:
    finish(bench, Budget("epochs", 4))
    with pytest.raises(UsageError, match=r"already been trained for 4 epochs.*Use --epochs 5 or more"):
        bench.training(Budget("epochs", 3.5), run="run-2")


def test_fewer_steps_than_trained_is_an_error_with_the_minimum(bench: Bench) -> None:
    finish(bench, Budget("steps", 7))
    with pytest.raises(UsageError, match=r"trained for 7 steps.*Use --steps 8 or more"):
        bench.training(Budget("steps", 6), run="run-2")


def test_the_target_that_was_reached_leaves_nothing_to_do(bench: Bench) -> None:
    finish(bench, Budget("steps", 7))
    start = bench.training(Budget("steps", 7), run="run-2").start
    assert start.kind == "finished"
    assert start.describe() == "The model has already been trained to 7 steps; nothing is left to do."


def test_another_target_in_the_middle_of_a_cool_down_goes_back_to_the_stem(bench: Bench) -> None:
    steps = iter(range(100))
    finish(bench, Budget("steps", 20), stop_requested=lambda: next(steps) >= 15)
    assert bench.training(Budget("steps", 20)).start.kind == "resumed"
    start = bench.training(Budget("steps", 30)).start
    assert (start.kind, start.place.step, start.schedule.cooldown_start) == ("continued", 10, 15)


def test_another_share_of_cool_down_is_another_target(bench: Bench) -> None:
    steps = iter(range(100))
    finish(bench, Budget("steps", 20), stop_requested=lambda: next(steps) >= 15)
    start = bench.training(Budget("steps", 20), bench.settings(cooldown=0.25)).start
    assert (start.kind, start.place.step, start.schedule.cooldown_start) == ("continued", 10, 15)


def test_minutes_go_on_from_the_newest_weights_and_warm_them_up_again(bench: Bench) -> None:
    finish(bench, Budget("minutes", 0.002))
    cooled = bench.folder.find("latest")
    assert bench.folder.find("stem").step < cooled.step
    training, _ = finish(bench, Budget("minutes", 0.002), run="run-2")
    start = training.start
    assert (start.kind, start.place.step, start.place.seconds, start.trunk) == ("continued", cooled.step, 0, True)
    assert start.describe() == f"Training goes on from step {cooled.step} for 0.002 minutes."
    assert [update.rate_scale for update in training.learner.updates[:4]] == [1 / 3, 2 / 3, 1, 1]
    assert bench.folder.find("stem").step > cooled.step


def test_going_on_before_a_cool_down_says_what_is_taken_again(bench: Bench) -> None:
    finish(bench, Budget("steps", 10))
    start = bench.training(Budget("steps", 20), run="run-2").start
    assert start.describe() == (
        "Training goes on from step 5, before the last cool-down, to 20 steps: "
        "steps 6 to 10 were its cool-down and are taken again."
    )


def test_without_a_stem_training_goes_on_from_the_newest(bench: Bench) -> None:
    finish(bench, Budget("steps", 10), settings=bench.settings(keep_last=1))
    import shutil

    shutil.rmtree(bench.folder.find("stem").path)
    start = bench.training(Budget("steps", 20), run="run-2").start
    assert (start.kind, start.place.step) == ("continued", 10)
    assert start.describe() == "Training goes on from step 10 to 20 steps."


def test_new_data_begin_a_new_pass_and_epochs_add_up(bench: Bench) -> None:
    finish(bench, Budget("epochs", 2), settings=bench.settings(cooldown=0))
    bench.dataset = "dataset-2"
    training, outcome = finish(bench, Budget("epochs", 3), settings=bench.settings(cooldown=0), run="run-2")
    assert training.start.place.examples == 0
    assert training.start.place.epochs_before == 2
    assert outcome.epochs == 3


def test_a_run_that_was_killed_after_its_last_checkpoint_has_nothing_left_to_do(bench: Bench) -> None:
    finish(bench, Budget("steps", 10))
    before = [item.path for item in bench.folder.all()]
    training, outcome = finish(bench, Budget("steps", 10))
    assert training.start.kind == "finished"
    assert "nothing is left to do" in training.start.describe()
    assert (outcome.reason, outcome.step) == ("finished", 10)
    assert [item.path for item in bench.folder.all()] == before
    assert training.learner.updates == []
