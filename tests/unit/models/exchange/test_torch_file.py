"""Files that torch pickled: weights and plain values are read, everything else is refused before it runs."""

import os
import pickle

import pytest

from treadle.base.errors import DataError
from treadle.models.exchange.torch_file import as_array, read_plain_pickle, read_torch

torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")


class Evil:
    """Runs a command when it is read."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def test_weights_and_plain_values_are_read(tmp_path):
    torch.save({"model": {"w": torch.ones(2, dtype=torch.bfloat16)}, "iter_num": 3}, tmp_path / "ckpt.pt")
    found = read_torch(tmp_path / "ckpt.pt")
    assert found["iter_num"] == 3
    assert as_array(found["model"]["w"]).tolist() == [1.0, 1.0]


def test_code_is_refused_and_does_not_run(tmp_path):
    torch.save({"model": Evil(tmp_path / "ran")}, tmp_path / "ckpt.pt")
    with pytest.raises(DataError, match="could run code"):
        read_torch(tmp_path / "ckpt.pt")
    (tmp_path / "meta.pkl").write_bytes(pickle.dumps({"stoi": Evil(tmp_path / "ran")}))
    with pytest.raises(DataError, match=r"posix.mkdir|nt.mkdir"):
        read_plain_pickle(tmp_path / "meta.pkl")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("data", [b"", b"not a pickle", b"\x80\x04K\x01"])
def test_damaged_files_are_refused_in_words(data, tmp_path):
    (tmp_path / "f").write_bytes(data)
    with pytest.raises(DataError, match=r"cannot be read|could run code"):
        read_torch(tmp_path / "f")
    with pytest.raises(DataError, match="cannot be read"):
        read_plain_pickle(tmp_path / "f")


def test_a_file_that_holds_no_dict_is_no_checkpoint(tmp_path):
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(DataError, match="holds a list"):
        read_torch(tmp_path / "list.pt")
