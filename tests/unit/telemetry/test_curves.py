"""Curves: every step is kept, and any stretch of them is read in as many buckets as there are pixels."""

from __future__ import annotations

import json
import math
import random
import time
import tracemalloc

import numpy as np
import pytest

from treadle.base.errors import DataError
from treadle.telemetry.curve_file import FANOUT, HEADER, entry_bytes, level_path
from treadle.telemetry.curve_writer import CurveWriter
from treadle.telemetry.curves import Curve, open_curve

COLUMNS = ("loss", "held_out_loss")


def written(folder, count, first=1, every=10, seed=3):
    """A curve of `count` steps; the second column is measured at every tenth."""
    chance = random.Random(seed)
    rows = [(4 * math.exp(-step / 300) + chance.random() / 5) for step in range(count)]
    writer = CurveWriter(folder, COLUMNS, first - 1)
    for step, loss in enumerate(rows, first):
        writer.add(step, {"loss": loss, "held_out_loss": loss + 1 if step % every == 0 else None})
    writer.close()
    return rows


def levels(folder):
    return {path.name: path.read_bytes() for path in folder.glob("level-*")}


@pytest.mark.parametrize(("count", "points"), [(1, 10), (7, 10), (64, 10), (1000, 50), (4097, 3), (5000, 400)])
def test_buckets_hold_the_least_and_the_largest_of_the_steps_they_stand_for(tmp_path, count, points):
    rows = np.float32(written(tmp_path, count, first=11))
    found = Curve(tmp_path).buckets(["loss"], points)
    assert len(found.steps) <= points + 2
    assert found.steps[-1] == count + 10
    begin = 0
    columns = [found.values["loss"][part] for part in ("min", "max", "mean")]
    for step, low, high, mean in zip(found.steps, *columns, strict=True):
        part = rows[begin : step - 10]
        assert (low, high, mean) == pytest.approx((part.min(), part.max(), part.mean()), rel=1e-5)
        begin = step - 10
    assert begin == count


def test_a_stretch_of_steps_is_read_alone(tmp_path):
    rows = np.float32(written(tmp_path, 3000))
    found = Curve(tmp_path).buckets(["loss"], 100, first=1001, last=1100)
    assert found.width == 1
    assert found.steps == list(range(1001, 1101))
    assert found.values["loss"]["mean"] == pytest.approx(rows[1000:1100].tolist(), rel=1e-5)


def test_what_was_measured_now_and_then_leaves_gaps_and_no_zeros(tmp_path):
    written(tmp_path, 25)
    found = Curve(tmp_path).buckets(["held_out_loss"], 100)
    values = found.values["held_out_loss"]["mean"]
    known = [step for step, value in zip(found.steps, values, strict=True) if value is not None]
    assert known == [10, 20]


def test_best_and_last_are_found_with_their_steps(tmp_path):
    rows = written(tmp_path, 2345)
    curve = Curve(tmp_path)
    assert curve.lowest("loss") == (rows.index(min(rows)) + 1, pytest.approx(min(rows), rel=1e-5))
    assert curve.newest("held_out_loss") == (2340, pytest.approx(rows[2339] + 1, rel=1e-5))
    assert curve.mean("loss", 2000, 20) == pytest.approx(sum(rows[1980:2000]) / 20, rel=1e-5)
    assert curve.row(77)["loss"] == pytest.approx(rows[76], rel=1e-5)
    assert curve.row(9999) == {"loss": None, "held_out_loss": None}


def test_a_run_that_goes_back_drops_the_steps_behind(tmp_path):
    written(tmp_path / "a", 1000)
    written(tmp_path / "b", 700)
    CurveWriter(tmp_path / "a", COLUMNS, 700).close()
    assert levels(tmp_path / "a") == levels(tmp_path / "b")


@pytest.mark.parametrize("count", [1, 63, 64, 700, 1000])
def test_a_kill_at_any_byte_costs_only_what_was_not_written(tmp_path, count):
    written(tmp_path / "whole", 1000)
    rows = written(tmp_path / "cut", 1000)
    size = entry_bytes(len(COLUMNS), 0)
    with level_path(tmp_path / "cut", 0).open("r+b") as file:
        file.truncate(count * size - 3)
    with level_path(tmp_path / "cut", 1).open("r+b") as file:
        file.truncate(37)
    level_path(tmp_path / "cut", 2).unlink(missing_ok=True)
    assert Curve(tmp_path / "cut").rows == count - 1
    writer = CurveWriter(tmp_path / "cut", COLUMNS, count - 1)
    for step in range(count, 1001):
        loss = rows[step - 1]
        writer.add(step, {"loss": loss, "held_out_loss": loss + 1 if step % 10 == 0 else None})
    writer.close()
    assert levels(tmp_path / "cut") == levels(tmp_path / "whole")


def test_buckets_count_only_as_far_as_the_rows_reach(tmp_path):
    rows = written(tmp_path, 1000)
    with level_path(tmp_path, 0).open("r+b") as file:
        file.truncate(300 * entry_bytes(len(COLUMNS), 0))
    curve = Curve(tmp_path)
    assert curve.buckets(["loss"], 2).steps[-1] == 300
    assert curve.lowest("loss")[1] == pytest.approx(min(rows[:300]), rel=1e-5)


def test_rows_that_a_machine_has_lost_leave_their_place_empty(tmp_path):
    written(tmp_path, 100)
    writer = CurveWriter(tmp_path, COLUMNS, 150)
    writer.add(151, {"loss": 1.0})
    writer.close()
    curve = Curve(tmp_path)
    assert (curve.first, curve.last) == (1, 151)
    assert curve.row(120)["loss"] is None
    assert curve.row(151)["loss"] == 1.0


def test_a_curve_is_read_while_it_is_written(tmp_path):
    writer = CurveWriter(tmp_path, COLUMNS, 0)
    for step in range(1, 200):
        writer.add(step, {"loss": float(step)})
        if step % 7 == 0:
            writer.flush()
            found = Curve(tmp_path).buckets(["loss"], 10)
            assert found.steps[-1] == step
            assert found.values["loss"]["max"][-1] == step
    writer.close()


@pytest.mark.parametrize("points", [3, 10, 60])
def test_levels_that_lag_behind_or_run_ahead_of_each_other_change_nothing(tmp_path, points):
    written(tmp_path, 4100)
    whole = Curve(tmp_path).buckets(["loss"], points)
    for level, share in ((1, 0.4), (2, 0.5), (4, 0)):  # as a writer's buffers may leave them at some moment
        path = level_path(tmp_path, level)
        with path.open("r+b") as file:
            file.truncate(int(path.stat().st_size * share))
    found = Curve(tmp_path).buckets(["loss"], points)
    assert found.steps == whole.steps
    assert found.values["loss"]["max"] == whole.values["loss"]["max"]
    assert found.values["loss"]["mean"] == pytest.approx(whole.values["loss"]["mean"], rel=1e-5)


def test_what_is_no_number_is_nothing(tmp_path):
    writer = CurveWriter(tmp_path, COLUMNS, 0)
    writer.add(1, {"loss": math.nan, "held_out_loss": math.inf})
    writer.add(2, {"loss": 1e300})
    writer.close()
    assert Curve(tmp_path).lowest("loss") is None
    assert Curve(tmp_path).buckets(["loss"], 5).values["loss"]["mean"] == [None, None]


def test_a_folder_without_a_curve_has_none_and_a_strange_one_is_refused(tmp_path):
    assert open_curve(tmp_path) is None
    (tmp_path / HEADER).write_text(json.dumps({"format": 99}))
    with pytest.raises(DataError, match="no curve that this version reads"):
        open_curve(tmp_path)


def test_ten_million_steps_are_read_in_a_number_of_entries_that_hangs_on_the_pixels_alone(quick_folder):
    count, points = 10_000_000, 800
    loss = np.linspace(5, 1, count, dtype=np.float32)
    (quick_folder / HEADER).write_text(json.dumps({"format": 1, "fanout": FANOUT, "first": 1, "columns": ["loss"]}))
    loss.tofile(level_path(quick_folder, 0))
    low = high = total = loss
    number = np.ones(count, np.float32)
    for level in range(1, 8):
        whole = len(low) // FANOUT * FANOUT
        low, high = (f(part[:whole].reshape(-1, FANOUT), axis=1) for f, part in ((np.min, low), (np.max, high)))
        total, number = (part[:whole].reshape(-1, FANOUT).sum(1, dtype=np.float64) for part in (total, number))
        np.stack([low, high, total, number], 1).astype(np.float32).tofile(level_path(quick_folder, level))
    curve = Curve(quick_folder)
    tracemalloc.start()
    began = time.process_time()
    whole = curve.buckets(["loss"], points)
    spent, peak = time.process_time() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(whole.steps) <= points + 2
    assert curve.entries_read <= FANOUT * points + FANOUT * 8
    assert (whole.values["loss"]["max"][0], whole.values["loss"]["min"][-1]) == pytest.approx((5, 1), abs=1e-3)
    assert peak < 4_000_000  # the rows alone are 40 million bytes
    assert spent < 2.0
    for question in (lambda: curve.lowest("loss"), lambda: curve.newest("loss"), lambda: curve.row(5_000_000)):
        before = curve.entries_read
        question()
        assert curve.entries_read - before <= FANOUT * 16
    before = curve.entries_read
    part = curve.buckets(["loss"], points, first=5_000_001, last=5_000_800)
    assert (part.width, curve.entries_read - before) == (1, 800)
