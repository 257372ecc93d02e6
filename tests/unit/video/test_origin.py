"""How a video was made stays with it."""

import pytest
from clips import moving, stored

from treadle.base.errors import DataError
from treadle.base.hashing import hash_file
from treadle.video.frames import probe, read_frames
from treadle.video.origin import described, embed, nearest_prompt

PROMPT = {"name": "dusk", "version": 2, "text": "A street.", "negative": None, "inputs": [], "settings": {"seed": 7}}


def test_settings_go_into_a_file_of_others_without_touching_its_pictures(tmp_path):
    file = stored(tmp_path / "theirs.mp4", moving(6), quality="good")
    before = list(read_frames(file))
    embed(file, tmp_path / "ours.mp4", {"tool": "transfer run", "prompt": PROMPT})
    facts = probe(tmp_path / "ours.mp4")
    assert facts.made_by == {"tool": "transfer run", "prompt": PROMPT}
    assert (facts.frames, facts.fps) == (6, 25)
    assert all((a == b).all() for a, b in zip(before, read_frames(tmp_path / "ours.mp4"), strict=True))
    embed(tmp_path / "ours.mp4", tmp_path / "ours.mp4", {"tool": "again"})
    assert probe(tmp_path / "ours.mp4").made_by == {"tool": "again"}
    assert {path.name for path in tmp_path.iterdir()} == {"theirs.mp4", "ours.mp4"}


def test_what_is_no_video_leaves_the_target_as_it_was(tmp_path):
    target = stored(tmp_path / "a.mp4", moving(2))
    kept = hash_file(target)
    (tmp_path / "b.mp4").write_text("no video")
    with pytest.raises(DataError, match="not a video"):
        embed(tmp_path / "b.mp4", target, {})
    assert hash_file(target) == kept
    assert {path.name for path in tmp_path.iterdir()} == {"a.mp4", "b.mp4"}


def test_the_prompt_is_found_through_the_videos_in_between(tmp_path):
    first = stored(tmp_path / "generated.mp4", moving(2), made_by={"tool": "transfer run", "prompt": PROMPT})
    second = stored(tmp_path / "b.mp4", moving(2), made_by={"tool": "video smooth", "sources": [described(first)]})
    third = stored(tmp_path / "c.mp4", moving(2), made_by={"tool": "video deflicker", "sources": [described(second)]})
    assert nearest_prompt(probe(third).made_by) == PROMPT
    assert nearest_prompt({"sources": [{"made_by": {"sources": [{"made_by": 3}]}}]}) is None


def test_a_history_that_grew_too_long_is_kept_as_a_hash_alone(tmp_path):
    long = stored(tmp_path / "a.mp4", moving(1), made_by={"options": {"note": "x" * 70_000}})
    assert described(long) == {"path": str(long), "sha256": hash_file(long)}
