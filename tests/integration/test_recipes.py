"""The stories of feeding, training and describing, through Python's door."""

import pytest

from treadle import TreadleError, Workspace

SHAPE = [
    "family.layers=1",
    "family.width=32",
    "family.heads=2",
    "data.sequence_length=16",
    "training.batch_size=4",
    "training.sample_every=0",
    "training.warmup_steps=2",
]


@pytest.fixture
def lab(tmp_path):
    workspace = Workspace.create(tmp_path / "lab")
    workspace.new("m", SHAPE, size="nano", tokenizer="char")
    (tmp_path / "a.txt").write_text("the cat sat on the mat and the dog sat on the log\n" * 60)
    workspace.feed("m", [tmp_path / "a.txt"])
    return workspace


def test_a_step_after_training_is_named_by_what_is_so(lab, tmp_path):
    assert lab.show("m").next_step == "treadle train m"
    lab.train("m", steps=4)
    assert lab.show("m").next_step == "treadle sample m"
    (tmp_path / "b.txt").write_text("the dog sat on the cat\n" * 60)
    lab.feed("m", [tmp_path / "b.txt"])
    assert lab.show("m").next_step == "treadle train m"


def test_a_target_that_was_reached_is_no_error(lab):
    lab.train("m", steps=4)
    again = lab.train("m", steps=4)
    assert (again["already"], again["step"], again["outcome"]) == (True, 4, "done")
    assert again["held_out"] is not None


def test_minutes_always_add_to_what_was_learned(lab):
    steps = [lab.train("m", minutes=0.01)["step"] for _ in range(3)]
    assert steps == sorted(set(steps))


def test_unknown_characters_are_told_when_they_are_fed_and_can_be_left_out(lab, tmp_path):
    lab.train("m", steps=4)
    (tmp_path / "b.txt").write_text("ein Kätzchen saß auf der Matte\n" * 60)
    notes = []
    fed = lab.feed("m", [tmp_path / "b.txt"], on_event=lambda event: notes.append(event) if event.type == "note" else 0)
    assert fed["unknown_characters"] > 60
    assert "data.unknown=skip" in notes[0].data["message"]
    shown = lab.show("m")
    assert "'ä'" in shown.problem
    assert shown.tokens == {}
    assert shown.documents["accepted"] == 2
    with pytest.raises(TreadleError, match="lacks"):
        lab.train("m", steps=8)
    assert lab.train("m", ["data.unknown=skip"], steps=8)["step"] == 8


def test_the_same_folder_twice_is_nothing_new_and_no_error(lab, tmp_path):
    again = lab.feed("m", [tmp_path / "a.txt"])
    assert (again["ok"], again["accepted"], again["duplicates"], again["refused"]) == (True, 0, 1, [])
    bad = lab.feed("m", [tmp_path / "missing.txt"])
    assert (bad["ok"], [row["reason"] for row in bad["refused"]]) == (False, ["missing"])


def test_the_ledger_of_tokens_balances_while_data_grow(lab, tmp_path):
    def balanced():
        tokens = lab.show("m").tokens
        assert tokens["in"] == tokens["trained_once"] + tokens["buffered"] + tokens["held_out"]
        return tokens

    lab.train("m", steps=4)
    first = balanced()
    assert 0 < first["trained_once"] <= 4 * 4 * 16
    (tmp_path / "b.txt").write_text("the dog sat on the cat\n" * 60)
    lab.feed("m", [tmp_path / "b.txt"])
    second = balanced()
    assert second["trained_once"] == first["trained_once"]
    assert second["in"] > first["in"]
    lab.train("m", epochs=3)
    assert balanced()["buffered"] == 0


def test_more_threads_than_cores_are_refused(lab):
    with pytest.raises(TreadleError, match=r"training\.threads=999 is more than the \d+ cores"):
        lab.train("m", ["training.threads=999"], steps=2)
