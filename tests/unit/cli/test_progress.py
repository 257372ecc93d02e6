"""The changing line of a training fits the terminal and keeps what matters most."""

import pytest

from treadle.cli.progress import frames_line, progress_line, wrapped

FACTS = {
    "epoch": 3.25,
    "step": 12_345,
    "total_steps": 20_000,
    "loss": 1.5,
    "held_out_loss": 1.75,
    "targets_per_second": 60_000.0,
    "eta_seconds": 754.0,
    "memory_bytes": 230_000_000,
}


@pytest.mark.parametrize("width", [10, 30, 58, 78, 98, 140])
def test_the_line_never_wraps(width):
    assert len(progress_line(FACTS, width)) <= max(width, len("step 12,345/20,000"))


def test_the_time_left_stands_at_60_columns_and_the_memory_only_where_there_is_room():
    assert progress_line(FACTS, 58) == "step 12,345/20,000  12:34 left  loss 1.500  held out 1.750"
    assert progress_line(FACTS, 78).endswith("held out 1.750  epoch 3.25")
    assert progress_line(FACTS, 98).endswith("epoch 3.25  60k tok/s  230.0 MB")


def test_what_is_not_known_is_left_out():
    bare = {**FACTS, "total_steps": None, "eta_seconds": None, "held_out_loss": None, "targets_per_second": None}
    assert progress_line({**bare, "loss": None}, 78) == "step 12,345  loss -  epoch 3.25"


def test_a_long_line_is_broken_between_words_and_hangs():
    text = "  learner native, threads 2, precision bf16, instruction_set avx512"
    assert wrapped(text, 40) == ["  learner native, threads 2, precision", "    bf16, instruction_set avx512"]
    assert wrapped("see /a/very-long/path/that/has/no/blanks", 20) == ["see", "  /a/very-long/path/that/has/no/blanks"]
    assert wrapped("", 20) == [""]


def test_frames_of_a_second_reading_are_counted_anew_and_slow_work_has_a_decimal():
    facts = {"done": 34, "total": 132, "per_second": 1.44, "eta_seconds": 68.0}
    assert frames_line(facts) == "frame 34/132  1:08 left  1.4 frames/s"
    twice = {**facts, "total": 264, "passes": 2, "per_second": 13.2}
    assert frames_line({**twice, "done": 132}) == "frame 132/132, reading 1 of 2  1:08 left  13 frames/s"
    assert frames_line({**twice, "done": 133}) == "frame 1/132, reading 2 of 2  1:08 left  13 frames/s"
