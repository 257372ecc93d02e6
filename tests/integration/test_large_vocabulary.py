"""A vocabulary as large as GPT-2's goes through training, checkpoints, packed weights, sampling and evaluation."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import pytest

import treadle
from treadle.data.bundled.texts import bundled_text
from treadle.data.tokenizers.bpe import BpeTokenizer
from treadle.data.tokenizers.tokenizer import save_tokenizer, tokenizer_hash

if TYPE_CHECKING:
    from pathlib import Path

TINY = ["family.layers=1", "family.width=32", "family.heads=2", "data.sequence_length=16", "training.batch_size=2"]


def fifty_thousand_ids() -> BpeTokenizer:
    """Tokens learned from Shakespeare, and as many unheard-of ones as GPT-2's vocabulary has room for."""
    learned = BpeTokenizer.train([bundled_text("shakespeare").read_text(encoding="utf-8")[:200_000]], 2048)
    others = [bytes([a, b, 0xFF]) for a in range(200) for b in range(256)]
    return BpeTokenizer([*learned.tokens, *others[: 50_256 - len(learned.tokens)]])


def test_fifty_thousand_ids_are_trained_resumed_measured_and_sampled(tmp_path: Path) -> None:
    tokenizer = fifty_thousand_ids()
    assert tokenizer.vocabulary_size == 50_257
    save_tokenizer(tokenizer, tmp_path / "large.json")
    text = tmp_path / "play.txt"
    text.write_text(bundled_text("shakespeare").read_text(encoding="utf-8")[:20_000], encoding="utf-8")
    workspace = treadle.Workspace.create(tmp_path / "lab")
    workspace.new("big", TINY, size="nano", tokenizer=str(tmp_path / "large.json"))
    workspace.feed("big", [text])
    first = workspace.train("big", ["training.sample_every=0"], steps=4)
    assert first["step"] == 4
    assert workspace.train("big", ["training.sample_every=0"], steps=8)["step"] == 8
    shown = workspace.show("big")
    assert shown.vocabulary == 50_257
    measured = workspace.evaluate("big", checkpoint="latest")
    assert 0 < measured["loss"] < 1.1 * math.log(50_257)
    held_out = text.stat().st_size - round(text.stat().st_size * 0.9)
    wanted = measured["loss"] * measured["targets"] / math.log(2) / held_out
    assert measured["bits_per_byte"] == pytest.approx(wanted, rel=1e-3)
    drawn = workspace.sample("big", prompt="To be", tokens=24, seed=5, checkpoint="latest")
    assert drawn == workspace.sample("big", prompt="To be", tokens=24, seed=5, checkpoint="latest")
    assert drawn["prompt_ids"] == tokenizer.encode("To be").tolist()
    assert all(0 <= token < 50_257 for token in drawn["ids"])
    document = json.loads(next(workspace.root.glob("models/m-*/checkpoints/step-00000008/checkpoint.json")).read_text())
    assert document["tokenizer"]["sha256"] == tokenizer_hash(tokenizer)
    greedy = [
        workspace.sample(
            "big", prompt="To be", tokens=24, temperature=0.0, engine=engine, precision="fp32", checkpoint="latest"
        )["ids"]
        for engine in ("native", "torch")
    ]
    assert greedy[0] == greedy[1]
