from __future__ import annotations

from treadle.cli.model_reports import MODEL_VIEWS, classes, limits


def test_a_prediction_shows_the_likeliest_classes_and_what_could_not_be_read() -> None:
    shares = {"cat": 0.7, "dog": 0.2, "cow": 0.06, "hen": 0.04}
    report = {
        "predictions": [{"file": "a.png", "probabilities": shares}],
        "refused": [{"file": "b.png", "detail": "There is no such file."}],
    }
    assert MODEL_VIEWS["predict"](report, {}) == [
        "a.png  cat 70.0%   dog 20.0%   cow 6.0%",
        "b.png: There is no such file.",
    ]


def test_an_inspection_names_what_was_likelier_only_where_something_was() -> None:
    token = {"text": "a", "likeliest": "e", "probability": 0.4, "loss": 2.5, "rank": 3}
    report = {
        "tokens": [token, {**token, "text": "\n", "rank": 1}],
        "loss": 2.5,
        "bits_per_byte": 3.61,
        "model": "bard",
        "step": 1000,
        "engine": "native",
        "precision": "fp32",
        "pictures": ["/lab/x.png"],
    }
    lines = MODEL_VIEWS["inspect"](report, {})
    assert lines[1].split() == ["'a'", "2.500", "3", "'e'", "40%"]
    assert lines[2].split() == [r"'\n'", "2.500", "1"]
    assert "2 tokens, 2.500 nats/token (3.61 bits/byte)" in lines[3]
    assert lines[-1].endswith("/lab/x.png")


def test_a_change_shows_before_and_after_and_what_growth_means() -> None:
    change = {"key": "training.clip", "before": None, "after": 0.5}
    grown = {"from": 2, "to": 4, "parameters": 1_200_000, "checkpoint": "/lab/step-1"}
    report = {"model": "bard", "changed": [change], "grown": grown, "next_step": "treadle train bard"}
    said = "\n".join(MODEL_VIEWS["set"](report, {}))
    assert "training.clip  none -> 0.5" in said
    assert "`bard` has 4 layers instead of 2 (1.2 M parameters) and computes what it did\n  before" in said
    assert said.endswith("Next: treadle train bard")
    unchanged = MODEL_VIEWS["set"]({**report, "changed": [], "grown": None}, {})
    assert unchanged[0] == "  Nothing changes: the model has these settings already."


def test_limits_that_say_the_same_stand_together_in_eighty_columns() -> None:
    row = {"possible": "no", "because": "the shape of the weights is fixed once they exist"}
    rows = [{**row, "key": f"family.setting_{number}", "value": None if number else 3} for number in range(9)]
    lines = limits([*rows, {"key": "data.held_out", "value": 0.1, "possible": "a smaller share", "because": "it is"}])
    assert sum("the shape of the weights" in line for line in lines) == 1
    assert "family.setting_0=3" in lines[1]
    assert lines[-1].strip() == "a smaller share: it is"
    assert max(map(len, lines)) <= 80


def test_each_class_of_a_classifier_has_its_row() -> None:
    row = {"class": "cat", "pictures": 10, "correct": 9, "accuracy": 0.9, "taken_for_it": 2}
    none = {"class": "dog", "pictures": 0, "correct": 0, "accuracy": None, "taken_for_it": 1}
    lines = classes({"accuracy": 0.9, "correct": 9, "targets": 10, "per_class": [row, none]})
    assert "90.00% (9 of 10 pictures)" in lines[0]
    assert lines[-2].split() == ["cat", "10", "9", "90.0%", "2"]
    assert lines[-1].split() == ["dog", "0", "0", "-", "1"]
