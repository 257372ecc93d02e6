"""The weights know one tokenizer, and nothing else is ever used with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import treadle
from treadle.base.errors import TreadleError
from treadle.data.bundled.texts import bundled_text
from treadle.data.tokenizers.tokenizer import save_tokenizer, train_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

TINY = ["family.layers=1", "family.width=32", "family.heads=2", "data.sequence_length=16", "training.batch_size=2"]
QUIET = ["training.sample_every=0"]


def test_a_lost_tokenizer_comes_back_and_a_foreign_one_is_refused(tmp_path: Path) -> None:
    play = bundled_text("shakespeare").read_text(encoding="utf-8")
    (tmp_path / "one.txt").write_text(play[:12_000], encoding="utf-8")
    (tmp_path / "two.txt").write_text(play[12_000:24_000], encoding="utf-8")
    workspace = treadle.Workspace.create(tmp_path / "lab")
    workspace.new("bard", TINY, size="nano", tokenizer="bpe:300")
    workspace.feed("bard", [tmp_path / "one.txt"])
    workspace.train("bard", QUIET, steps=2)
    decided = workspace.tokenizer_inspect("bard").sha256
    (file,) = workspace.root.glob("models/m-*/tokenizer/tokenizer.json")
    file.unlink()
    workspace.feed("bard", [tmp_path / "two.txt"])
    assert workspace.train("bard", QUIET, steps=4)["step"] == 4
    assert workspace.tokenizer_inspect("bard").sha256 == decided
    save_tokenizer(train_tokenizer("bpe:300", [play[50_000:90_000]]), file, "bpe:300")
    with pytest.raises(TreadleError, match="is not the tokenizer that `bard` was trained with"):
        workspace.train("bard", QUIET, steps=6)
    with pytest.raises(TreadleError, match="is not the tokenizer that `bard` was trained with"):
        workspace.evaluate("bard")
