from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from treadle.base.errors import NotFoundError, NotReadyError, WeightsError
from treadle.base.hashing import hash_json
from treadle.training.checkpoints import (
    DOCUMENT_FILE,
    MODEL_FILE,
    OPTIMIZER_FILE,
    CheckpointFolder,
    ModelRecord,
    Snapshot,
    read_checkpoint,
    roles,
)

if TYPE_CHECKING:
    from pathlib import Path

SHAPES = {"a.weight": (2, 3), "b.bias": (3,), "scalar": ()}


def snapshot(step: int, **changes: Any) -> Snapshot:
    values: dict[str, Any] = {
        "step": step,
        "record": ModelRecord("gpt", {"layers": 2}, 65, 8, {"kind": "char", "characters": "abć"}, {"seed": 1}),
        "weights": {name: np.full(shape, step, np.float32) for name, shape in SHAPES.items()},
        "optimizer": {"momentum/a.weight": np.ones((2, 3), np.float32)},
        "data": {"dataset": "d", "position": 4 * step},
        "schedule": {"trunk": True, "finished": False},
        "plan": {"threads": 1},
        "metrics": {},
        "lineage": {"run": "r", "dataset": "d", "parent": None},
        "callbacks": {},
    }
    return Snapshot(**{**values, **changes})


@pytest.fixture
def folder(tmp_path: Path) -> CheckpointFolder:
    return CheckpointFolder(tmp_path / "checkpoints")


def rewrite(path: Path, **changes: Any) -> None:
    document = json.loads(path.read_text())
    document.update(changes)
    document["sha256"] = hash_json({key: value for key, value in document.items() if key != "sha256"})
    path.write_text(json.dumps(document))


def test_what_is_written_is_read_back_bit_for_bit(folder: CheckpointFolder) -> None:
    random = np.random.default_rng(0)
    weights = {name: random.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}
    weights["a.weight"] = weights["a.weight"].T.copy().T  # not in row order in memory
    folder.write(snapshot(500, weights=weights))
    checkpoint = folder.find("latest")
    assert checkpoint.path.name == "step-00000500"
    assert checkpoint.record.tokenizer == {"kind": "char", "characters": "abć"}
    assert checkpoint.tokenizer_hash == hash_json(checkpoint.record.tokenizer)
    found = checkpoint.weights(SHAPES)
    assert list(found) == list(SHAPES) or set(found) == set(SHAPES)
    for name, array in weights.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].shape == array.shape
    np.testing.assert_array_equal(checkpoint.optimizer()["momentum/a.weight"], np.ones((2, 3)))


def test_the_files_are_plain_safetensors(folder: CheckpointFolder) -> None:
    checkpoint = folder.write(snapshot(1))
    assert set(load_file(checkpoint.path / MODEL_FILE)) == set(SHAPES)


def test_other_than_float32_is_refused(folder: CheckpointFolder) -> None:
    with pytest.raises(TypeError, match=r"a\.weight is float64"):
        folder.write(snapshot(1, weights={"a.weight": np.zeros(3)}))
    assert list(folder.path.glob("*.tmp")) == list(folder.path.glob("step-*")) == []


def test_reading_weights_does_not_open_the_optimizer(folder: CheckpointFolder) -> None:
    checkpoint = folder.write(snapshot(1))
    (checkpoint.path / OPTIMIZER_FILE).unlink()
    assert folder.find("latest").weights(SHAPES)
    with pytest.raises(WeightsError, match=r"optimizer\.safetensors is missing"):
        folder.find("latest").optimizer()


def test_checkpoints_need_no_torch() -> None:
    code = "import sys, treadle.training.checkpoints, treadle.training.start; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_missing_unused_and_mismatched_name_is_told(folder: CheckpointFolder) -> None:
    folder.write(snapshot(1))
    expected = {"a.weight": (2, 4), "b.bias": (3,), "c.weight": (1, 2), "d.weight": (5,)}
    with pytest.raises(WeightsError) as raised:
        folder.find("latest").weights(expected)
    text = str(raised.value)
    assert "missing: c.weight (1, 2)" in text
    assert "missing: d.weight (5)" in text
    assert "unused: scalar ()" in text
    assert "mismatched: a.weight is (2, 3) instead of (2, 4)" in text
    assert "b.bias" not in text


@pytest.mark.parametrize("file", [MODEL_FILE, OPTIMIZER_FILE])
def test_one_flipped_bit_is_found_and_the_previous_checkpoint_is_named(folder: CheckpointFolder, file: str) -> None:
    folder.write(snapshot(400))
    path = folder.write(snapshot(500)).path / file
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    checkpoint = folder.find("latest")
    with pytest.raises(WeightsError, match=r"wrong hash.*--checkpoint 400"):
        checkpoint.weights() if file == MODEL_FILE else checkpoint.optimizer()


def test_a_cut_file_is_found(folder: CheckpointFolder) -> None:
    path = folder.write(snapshot(500)).path / MODEL_FILE
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(WeightsError, match=r"it is cut.*no other checkpoint"):
        folder.find("latest").weights()


def test_a_file_that_is_no_safetensors_is_found_though_its_hash_fits(folder: CheckpointFolder) -> None:
    path = folder.write(snapshot(500)).path
    (path / MODEL_FILE).write_bytes(b"nonsense, not tensors")
    files = json.loads((path / DOCUMENT_FILE).read_text())["files"]
    from treadle.base.hashing import hash_file

    files[MODEL_FILE] = {"sha256": hash_file(path / MODEL_FILE), "bytes": 21}
    rewrite(path / DOCUMENT_FILE, files=files)
    with pytest.raises(WeightsError, match="is no safetensors file"):
        folder.find("latest").weights()


def test_another_family_is_refused_with_both_names(folder: CheckpointFolder) -> None:
    folder.write(snapshot(1))
    folder.find("latest").require_family("gpt")
    with pytest.raises(WeightsError, match="family `gpt`, not `rnn`"):
        folder.find("latest").require_family("rnn")


def test_a_changed_document_is_refused(folder: CheckpointFolder) -> None:
    path = folder.write(snapshot(1)).path / DOCUMENT_FILE
    path.write_text(path.read_text().replace('"layers": 2', '"layers": 3'))
    with pytest.raises(WeightsError, match="changed or damaged"):
        read_checkpoint(path.parent)


def test_a_changed_tokenizer_is_refused_by_its_own_hash(folder: CheckpointFolder) -> None:
    path = folder.write(snapshot(1)).path / DOCUMENT_FILE
    tokenizer = json.loads(path.read_text())["tokenizer"]
    tokenizer["definition"]["characters"] = "cba"
    rewrite(path, tokenizer=tokenizer)
    with pytest.raises(WeightsError, match=r"tokenizer in .* has a wrong hash"):
        read_checkpoint(path.parent)


def test_a_newer_format_says_upgrade(folder: CheckpointFolder) -> None:
    path = folder.write(snapshot(1)).path / DOCUMENT_FILE
    rewrite(path, format=99, more="unheard of")
    with pytest.raises(WeightsError, match=r"newer Treadle .format 99"):
        read_checkpoint(path.parent)


def test_before_any_training_the_next_step_is_told(folder: CheckpointFolder) -> None:
    assert folder.latest() is None
    with pytest.raises(NotReadyError, match="treadle train"):
        folder.find("latest")
    with pytest.raises(NotReadyError, match="treadle train"):
        folder.find("best")


def test_an_unknown_step_or_role_names_the_known_ones(folder: CheckpointFolder) -> None:
    folder.write(snapshot(10))
    folder.write(snapshot(20))
    assert folder.find(10).step == folder.find("10").step == 10
    with pytest.raises(NotFoundError, match=r"no checkpoint at step 15\. Known steps: 10, 20"):
        folder.find(15)
    with pytest.raises(NotFoundError, match="Unknown checkpoint `newest`"):
        folder.find("newest")


def test_best_is_the_lowest_held_out_loss_and_without_one_the_newest(folder: CheckpointFolder) -> None:
    folder.write(snapshot(1))
    folder.write(snapshot(2))
    assert folder.find("best").step == 2
    folder.write(snapshot(3, metrics={"held_out_loss": 1.5}))
    folder.write(snapshot(4, metrics={"held_out_loss": 1.2}))
    folder.write(snapshot(5, metrics={"held_out_loss": 1.4}))
    folder.write(snapshot(6))
    assert folder.find("best").step == 4
    assert folder.find("latest").step == 6


def test_losses_of_an_older_dataset_version_do_not_compete(folder: CheckpointFolder) -> None:
    old = {"run": "r", "dataset": "old", "parent": None}
    folder.write(snapshot(1, metrics={"held_out_loss": 0.5}, lineage=old))
    folder.write(snapshot(2, metrics={"held_out_loss": 1.5}))
    folder.write(snapshot(3, metrics={"held_out_loss": 1.7}))
    assert folder.find("best").step == 2


def test_stem_and_cooled_are_read_off_the_checkpoints(folder: CheckpointFolder) -> None:
    cooled = {"trunk": False, "finished": True}
    folder.write(snapshot(10, schedule=cooled))
    with pytest.raises(NotFoundError, match="before a cool-down"):
        folder.find("stem")
    folder.write(snapshot(5))
    folder.write(snapshot(8, schedule={"trunk": False, "finished": False}))
    named = roles(folder.all())
    assert named["stem"].step == 5
    assert named["cooled"].step == 10
    assert folder.find("stem").step == 5


def test_a_step_reached_twice_keeps_both_and_the_later_one_is_found(folder: CheckpointFolder) -> None:
    folder.write(snapshot(5))
    second = folder.write(snapshot(5, plan={"threads": 2}))
    assert second.path.name == "step-00000005.2"
    assert [item.sequence for item in folder.all()] == [1, 2]
    assert folder.find(5).path == second.path


def test_pruning_keeps_the_newest_the_best_the_stem_and_the_cooled_one(folder: CheckpointFolder) -> None:
    branch = {"trunk": False, "finished": False}
    folder.write(snapshot(1, metrics={"held_out_loss": 0.1}))
    folder.write(snapshot(2))
    folder.write(snapshot(3, schedule={"trunk": False, "finished": True}))
    folder.write(snapshot(4))
    for step in (5, 6, 7):
        folder.write(snapshot(step, schedule=branch))
    gone = folder.prune(keep_last=2)
    assert [path.name for path in gone] == ["step-00000002", "step-00000005"]
    assert [item.step for item in folder.all()] == [1, 3, 4, 6, 7]
    folder.prune(keep_last=1, keep_best=False)
    assert [item.step for item in folder.all()] == [3, 4, 7]


def test_the_next_writer_clears_what_a_killed_one_left(folder: CheckpointFolder) -> None:
    folder.write(snapshot(1))
    (folder.path / ".step-00000002.abcd.tmp").mkdir()
    (folder.path / ".step-00000002.abcd.tmp" / MODEL_FILE).write_bytes(b"half")
    assert [item.step for item in folder.all()] == [1]
    folder.write(snapshot(2))
    assert list(folder.path.glob(".*.tmp")) == []
    assert [item.step for item in folder.all()] == [1, 2]


def test_a_damaged_newest_checkpoint_is_an_error_not_a_silent_step_back(folder: CheckpointFolder) -> None:
    folder.write(snapshot(1))
    path = folder.write(snapshot(2)).path
    (path / DOCUMENT_FILE).write_text("{")
    for which in ("latest", 2):
        with pytest.raises(WeightsError, match=r"not valid JSON.*--checkpoint 1"):
            folder.find(which)
    assert folder.find(1).step == 1
    assert [item[0] for item in folder.damaged()] == [path]


def test_a_foreign_folder_among_the_checkpoints_is_left_alone(folder: CheckpointFolder) -> None:
    folder.write(snapshot(1))
    (folder.path / "step-by-step").mkdir()
    (folder.path / "step-00000007").write_text("a file")
    assert [item.step for item in folder.all()] == [1]
    assert folder.damaged() == []
