"""Text that a model has trained on never counts as held out, also when its windows become longer or shorter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import treadle
from treadle.data.bundled.texts import bundled_text

if TYPE_CHECKING:
    from pathlib import Path

TINY = ["family.layers=1", "family.width=32", "family.heads=2", "data.sequence_length=16", "training.batch_size=2"]
QUIET = ["training.sample_every=0"]


def test_longer_windows_leave_every_text_on_its_side_of_the_split(quick_folder: Path) -> None:
    play = bundled_text("shakespeare").read_text(encoding="utf-8")
    for number in range(12):  # of 500 bytes: more than 20 windows of 16, fewer than 20 of 64
        (quick_folder / f"{number}.txt").write_text(play[number * 500 : number * 500 + 500], encoding="utf-8")
    workspace = treadle.Workspace.create(quick_folder / "lab")
    workspace.new("bard", TINY, size="nano", tokenizer="bytes")
    workspace.feed("bard", sorted(quick_folder.glob("*.txt")))
    workspace.train("bard", QUIET, steps=2)
    before = workspace.show("bard").tokens
    measured = workspace.evaluate("bard")["targets"]
    assert (before["held_out"], measured) == (12 * 51, 12 * 50)  # the last tenth of each, with a boundary each
    (kept,) = workspace.root.glob("models/m-*/tokenizer/split.json")

    workspace.set("bard", ["data.sequence_length=64"])
    assert workspace.evaluate("bard")["targets"] == measured
    workspace.train("bard", QUIET, steps=4)
    after = workspace.show("bard").tokens
    assert (after["held_out"], after["in"]) == (before["held_out"], before["in"])
    assert after["trained_once"] > before["trained_once"]  # what was trained is still known to be

    kept.unlink()  # as with a model from before splits were kept: its newest checkpoint says how long its windows are
    workspace.evaluate("bard")
    assert '"sequence_length": 64' in kept.read_text()
