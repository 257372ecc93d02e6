"""The verdict of an experiment, by its rule and on figures worked out by hand."""

import math

import pytest

from treadle.recipes.experiment_verdict import measure_of, spread_of, summarise

PLAN = {"name": "depth", "question": "Which?", "budget": "60s", "seeds": 3}


def result(loss, **facts):
    costs = {"steps": 10, "tokens": 100, "seconds": 2.0, "processor_seconds": 3.0, "per_second": 50.0}
    known = {"memory_bytes": 1e6, "accuracy": None, "parameters": 7, "tokenizer": "t", "unit": "tokens"}
    return {"held_out": loss, "bits_per_byte": loss / 2, **costs, **known, **facts}


def summary(cells, **facts):
    keys = {label: [f"{label}-{seed}" for seed in range(len(losses))] for label, losses in cells.items()}
    results = {
        key: result(loss, **facts)
        for label, losses in cells.items()
        for key, loss in zip(keys[label], losses, strict=True)
        if loss is not None
    }
    return summarise(PLAN, keys, results)


def test_a_clear_lead_is_a_best_cell():
    found = summary({"a": [2.00, 2.01, 2.02], "b": [2.20, 2.21, 2.22], "c": [2.5, 2.51, 2.52]})
    assert found["verdict"]["kind"] == "best"
    assert found["verdict"]["best"] == ["a"]
    assert found["verdict"]["sentence"].startswith("a is best: 2.0100 nats/token, 0.2000 below the next (b), 24.5 ")


def test_the_error_is_pooled_over_all_cells():
    found = summary({"a": [2.0, 2.1, 2.2], "b": [2.0, 2.2, 2.4]})
    deviation = math.sqrt((2 * 0.01 + 2 * 0.04) / 4)
    assert found["verdict"]["error"] == pytest.approx(deviation * math.sqrt(2 / 3))


def test_a_lead_within_the_noise_is_no_difference_and_what_is_worse_is_named():
    found = summary({"a": [2.0, 2.1, 2.2], "b": [2.05, 2.15, 2.25], "c": [4.0, 4.1, 4.2]})
    assert found["verdict"]["kind"] == "no_difference"
    assert found["verdict"]["best"] == ["a", "b"]
    assert "Worse: c." in found["verdict"]["sentence"]


def test_few_trainings_need_a_larger_lead():
    few = [{"done": 2, "deviation": 0.01}, {"done": 2, "deviation": 0.01}]
    many = [{"done": 20, "deviation": 0.01}, {"done": 20, "deviation": 0.01}]
    assert spread_of(few).times == 4.30
    assert spread_of(many).times == 2.0
    # 2.5 standard errors: enough for many seeds, not for two of each.
    assert summary({"a": [2.00, 2.02], "b": [2.025, 2.045]})["verdict"]["kind"] == "no_difference"


def test_one_seed_ranks_nothing():
    found = summary({"a": [2.0], "b": [3.0]})
    assert found["verdict"]["kind"] == "undecided"
    assert "one seed ranks nothing" in found["verdict"]["sentence"]


def test_what_is_not_done_yet_is_undecided_and_says_how_much_is_missing():
    found = summary({"a": [2.0, 2.1], "b": [None, 2.5]})
    assert found["verdict"]["sentence"] == (
        "Undecided: 3 of 4 trainings are done. Lowest so far: a, 2.0500 nats/token."
    )


def test_one_cell_has_nothing_to_be_compared_with():
    assert summary({"a": [2.0, 2.1]})["verdict"]["kind"] == "undecided"


def test_failures_are_named_and_count_as_missing():
    keys = {"a": ["a-1", "a-2"], "b": ["b-1"]}
    found = summarise(PLAN, keys, {"a-1": result(2.0), "a-2": {"error": "it burned"}, "b-1": result(2.1)})
    assert found["failed"] == {"a-2": "it burned"}
    assert (found["done"], found["wanted"]) == (2, 3)


def test_different_tokenizers_are_compared_by_bits_per_byte():
    assert measure_of([result(1.0, tokenizer="x"), result(1.0, tokenizer="y")]).unit == "bits/byte"
    assert measure_of([result(1.0), result(1.0)]).unit == "nats/token"
    assert measure_of([result(1.0, unit="pictures", tokenizer=None, bits_per_byte=None)]).unit == "nats/picture"
