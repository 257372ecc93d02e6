"""Settings of a model that exists, and its growth, through Python's door."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from treadle import TreadleError, Workspace
from treadle.base.errors import UsageError
from treadle.store.models import ModelCards
from treadle.training.checkpoints import CheckpointFolder

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = [
    *("family.layers=2", "family.width=32", "family.heads=2", "data.sequence_length=16", "training.batch_size=4"),
    *("training.sample_every=0", "training.warmup_steps=2", "training.precision=fp32"),
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("room")
    workspace = Workspace.create(folder / "lab")
    (folder / "a.txt").write_text("the cat sat on the mat and the dog sat on the log\n" * 60)
    for name in ("m", "grown"):
        workspace.new(name, SHAPE, size="nano", tokenizer="char")
        workspace.feed(name, [folder / "a.txt"])
        workspace.train(name, steps=30)
    return workspace


def settings(lab: Workspace, name: str) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = lab.show(name).settings
    return found


def test_what_is_set_is_kept_with_the_model_and_shown_with_its_origin(lab: Workspace) -> None:
    report = lab.set("m", ["training.batch_size=8", "generation.temperature=0.5"])
    assert [(row["key"], row["before"], row["after"]) for row in report.changed] == [
        ("training.batch_size", 4, 8),
        ("generation.temperature", 0.8, 0.5),
    ]
    now = settings(lab, "m")["training.batch_size"]
    assert now["value"] == 8
    assert str(now["origin"]).startswith("model,")
    assert settings(lab, "m")["training.warmup_steps"]["value"] == 2, "what was set before is kept"
    assert lab.set("m", ["training.batch_size=8"]).changed == []


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("family.width=64", "the shape of the weights is fixed"),
        ("family.layers=1", "Layers are added without loss by `treadle set NAME family.layers"),
        ("training.optimizer.name=adamw", "hold the state of this optimizer"),
        ("size=tiny", "give single settings"),
        ("experiment=nanogpt-cpu", "give single settings"),
        ("training.batch_sice=8", "Did you mean"),
        ("training.batch_size=0", "greater than or equal to 1"),
    ],
)
def test_what_the_weights_cannot_follow_is_refused_and_changes_nothing(
    lab: Workspace, override: str, said: str
) -> None:
    before = settings(lab, "m")
    with pytest.raises(TreadleError) as error:
        lab.set("m", ["training.clip=0.5", override])
    assert said in str(error.value)
    assert settings(lab, "m") == before


def test_nothing_to_change_is_no_request(lab: Workspace) -> None:
    with pytest.raises(UsageError, match="Say what to change"):
        lab.set("m", [])


def test_a_model_without_weights_takes_any_shape(lab: Workspace) -> None:
    lab.new("fresh", SHAPE, size="nano")
    report = lab.set("fresh", ["family.layers=+3", "family.width=64", "training.optimizer.name=adamw"])
    assert report.grown is None
    assert settings(lab, "fresh")["family.layers"]["value"] == 5
    assert "training.optimizer.matrix_learning_rate" not in settings(lab, "fresh")


def test_growth_keeps_the_loss_and_the_moments_and_training_goes_on_from_it(lab: Workspace) -> None:
    measured = lab.evaluate("grown")["loss"]
    small = lab.show("grown").checkpoints[-1]
    report = lab.set("grown", ["family.layers=+2"])
    assert (report.grown["from"], report.grown["to"], report.grown["old_layers_at"]) == (2, 4, [0, 2])
    assert lab.evaluate("grown", checkpoint="latest")["loss"] == pytest.approx(measured, abs=1e-5)
    shown = lab.show("grown")
    assert shown.checkpoints[-1]["weights_sha256"] != small["weights_sha256"]
    assert shown.parameters == report.grown["parameters"]
    after = lab.train("grown", steps=60)
    assert after["step"] == 60
    assert after["held_out"] < measured + 0.02
    with pytest.raises(UsageError, match="fewer would lose what the others have learned"):
        lab.set("grown", ["family.layers=3"])
    assert [row["key"] for row in shown.limits if row["key"] == "family.layers"]


def test_a_kill_between_checkpoint_and_card_is_mended_by_the_same_command(lab: Workspace, tmp_path: Path) -> None:
    lab.new("cut", SHAPE, size="nano", tokenizer="char")
    (tmp_path / "a.txt").write_text("the cat sat on the mat and the dog sat on the log\n" * 60)
    lab.feed("cut", [tmp_path / "a.txt"])
    lab.train("cut", steps=4)
    cards = ModelCards(lab._folder)
    card = cards.get("cut")
    lab.set("cut", ["family.layers=3"])
    cards.update(card)  # the card as it was: the kill came before it was written
    with pytest.raises(UsageError, match=r"family.layers"):
        lab.train("cut", steps=8)
    report = lab.set("cut", ["family.layers=3"])
    assert report.grown is None
    assert len(CheckpointFolder(cards.folder(card) / "checkpoints").all()) == 3
    assert lab.train("cut", steps=8)["step"] == 8


def test_nothing_is_changed_while_the_model_is_in_training(lab: Workspace) -> None:
    cards = ModelCards(lab._folder)
    with cards.writing(cards.get("m")), pytest.raises(TreadleError, match="is being trained"):
        lab.set("m", ["training.batch_size=9"])


def test_a_training_that_waited_while_the_model_grew_says_that_it_is_out_of_date(
    lab: Workspace, tmp_path: Path
) -> None:
    lab.new("late", SHAPE, size="nano", tokenizer="char")
    (tmp_path / "a.txt").write_text("the cat sat on the mat and the dog sat on the log\n" * 60)
    lab.feed("late", [tmp_path / "a.txt"])
    lab.train("late", steps=4)
    lab.jobs_pause("late")
    waiting = lab.train("late", steps=8, detach=True)
    lab.set("late", ["family.layers=+1"])
    lab.jobs_resume("late")
    with pytest.raises(TreadleError, match="changed while this job waited"):
        lab.jobs_follow(waiting["job"])
