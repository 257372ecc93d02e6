"""The history of the machine: bounded, honest about gaps, written by any number of processes."""

from __future__ import annotations

import time

import pytest

from treadle.telemetry import hardware_history
from treadle.telemetry.hardware_history import (
    _RECORD,
    INTERVAL_SECONDS,
    SLOTS,
    Sampler,
    columns,
    machine_now,
)
from treadle.telemetry.hardware_history import (
    hardware_history as history,
)


def put(path, moment, processor=0.5, memory=10):
    """A sample of some other moment, as a sampler would have written it."""
    slot = int(moment / INTERVAL_SECONDS) % SLOTS
    data = bytearray(path.read_bytes() if path.exists() else b"")
    data.extend(bytes(max(0, (slot + 1) * _RECORD.size - len(data))))
    _RECORD.pack_into(data, slot * _RECORD.size, moment, processor, 1.0, memory, 100, 1000)
    path.write_bytes(data)


def test_a_sample_says_what_the_machine_is_doing(tmp_path):
    path = tmp_path / "ring"
    assert Sampler(path).sample()
    (found,) = history(path, 60)
    assert 0 <= found.processor <= 1
    assert 0 < found.memory_used < found.memory_total
    assert found.disk_free > 0
    assert abs(found.time - time.time()) < 60
    assert machine_now(tmp_path)["cores"] >= 1


def test_two_processes_take_one_sample_between_them(tmp_path):
    path = tmp_path / "ring"
    now = time.time()
    put(path, now, processor=0.25)
    put(path, now + INTERVAL_SECONDS, processor=0.25)  # should the clock tick over meanwhile
    assert not Sampler(path).sample()
    assert not Sampler(path).sample()
    assert {sample.processor for sample in history(path, 60)} == {0.25}


def test_the_file_does_not_grow_beyond_a_day(tmp_path):
    path = tmp_path / "ring"
    for moment in (1e9, 1e9 + INTERVAL_SECONDS * SLOTS, 1e9 + INTERVAL_SECONDS * (SLOTS * 3 - 1)):
        put(path, moment)
    assert path.stat().st_size <= SLOTS * _RECORD.size < 1_000_000


def test_what_was_not_sampled_is_a_gap_and_what_is_older_than_a_day_is_gone(tmp_path):
    path = tmp_path / "ring"
    now = 2e9
    put(path, now - SLOTS * INTERVAL_SECONDS)  # a day ago, in the slot of now
    put(path, now - 600)
    put(path, now - 10)
    assert [sample.time for sample in history(path, 86_400, now=now)] == [now - 600, now - 10]
    assert [sample.time for sample in history(path, 60, now=now)] == [now - 10]


def test_many_samples_are_gathered_and_peaks_stay(tmp_path):
    path = tmp_path / "ring"
    now = 2e9
    for number in range(720):
        put(path, now - number * INTERVAL_SECONDS, processor=1.0 if number == 300 else 0.1)
    found = history(path, 3600, points=60, now=now)
    assert len(found) == 60
    assert max(sample.processor for sample in found) == pytest.approx(1.0)
    assert len(columns(found)["time"]) == 60


def test_where_nothing_was_sampled_there_is_no_history(tmp_path):
    assert history(tmp_path / "none", 3600) == []
    assert hardware_history.columns([])["processor"] == []
