"""A draft model is trained beside a model, found by whoever samples, and changes no text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from treadle import TreadleError, Workspace
from treadle.config.settings import Settings
from treadle.generation.generate import GenerationRequest, complete
from treadle.generation.native_engine import NativeEngine
from treadle.recipes.opened_engine import draft_of, find_sampling, open_checkpoint, open_sampling
from treadle.recipes.serve_opening import Choice, engine_bytes, open_for_serving
from treadle.recipes.settings import settings_of_run
from treadle.recipes.train_draft import require_use
from treadle.store.models import ModelCards
from treadle.store.workspace import WorkspaceFolder
from treadle.training.checkpoints import DRAFT_FOLDER, CheckpointFolder

if TYPE_CHECKING:
    from collections.abc import Iterator

SHAPE = ["family.layers=1", "family.width=32", "family.heads=2", "data.sequence_length=16", "training.batch_size=4",
         "training.sample_every=0", "training.threads=1"]  # fmt: skip
TEXT = "the cat sat on the mat and the dog sat on the log\n" * 60


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    folder = tmp_path_factory.mktemp("drafts")
    workspace = Workspace.create(folder / "lab")
    workspace.new("m", SHAPE, size="nano", tokenizer="char")
    (folder / "a.txt").write_text(TEXT)
    workspace.feed("m", [folder / "a.txt"])
    yield workspace
    workspace.worker_stop()


@pytest.fixture(scope="module")
def trained(lab: Workspace) -> dict[str, Any]:
    found: dict[str, Any] = lab.train("m", steps=60, draft="1x32")
    return found


def drafts(lab: Workspace) -> CheckpointFolder:
    cards = ModelCards(WorkspaceFolder(lab.root))
    return CheckpointFolder(cards.folder(cards.get("m")) / DRAFT_FOLDER)


def written(lab: Workspace, *overrides: str) -> tuple[Any, NativeEngine]:
    opened = open_sampling(WorkspaceFolder(lab.root), "m", "best", overrides)
    settings = opened.settings.model_copy(update={"tokens": 300, "seed": 4, "temperature": 0.3})
    (done,) = complete(opened.engine, opened.tokenizer, [GenerationRequest("the ", settings)])
    assert isinstance(opened.engine, NativeEngine)
    return done, opened.engine


def test_training_with_a_draft_makes_one_that_samples_use_and_that_changes_no_text(
    lab: Workspace, trained: dict[str, Any]
) -> None:
    assert trained["draft"]["shape"] == "1x32"
    assert trained["draft"]["step"] > 0
    assert trained["draft"]["held_out"] > 0
    assert trained["step"] == 60
    done, engine = written(lab)
    plain, alone = written(lab, "generation.draft=off")
    assert engine.guesses()[0] > engine.guesses()[1] > 0
    assert alone.guesses() == (0, 0)
    assert done == plain


def test_a_copy_has_the_draft_model_and_other_tokens_have_none(lab: Workspace, trained: dict[str, Any]) -> None:
    lab.copy("m", "twin")
    workspace = WorkspaceFolder(lab.root)
    found = find_sampling(workspace, "twin", "best", ())
    draft = draft_of(found.checkpoint, found.settings)
    assert draft is not None
    assert draft.step == trained["draft"]["step"]
    (draft.path / "checkpoint.json").write_text("{}")  # damaged: texts are written without it
    assert draft_of(found.checkpoint, found.settings) is None
    open_checkpoint(found.checkpoint, found.settings).close()


def test_a_server_counts_the_draft_model_in_its_memory_and_lets_it_guess(
    lab: Workspace, trained: dict[str, Any]
) -> None:
    workspace = WorkspaceFolder(lab.root)
    sizes = []
    for context in (16, 8):
        choice = Choice(("m",), "best", (), 4, context, 10, 10**9)
        engine, _ = open_for_serving(find_sampling(workspace, "m", "best", ()), choice)
        assert isinstance(engine, NativeEngine)
        assert engine._engine._draft is not None
        engine.close()
        with_draft, without = (
            engine_bytes(find_sampling(workspace, "m", "best", overrides), choice)
            for overrides in ((), ("generation.draft=off",))
        )
        sizes.append(with_draft - without)
    assert sizes[0] == sizes[1] > trained["draft"]["parameters"]


def test_a_draft_model_goes_on_and_one_of_another_shape_takes_its_place(
    lab: Workspace, trained: dict[str, Any]
) -> None:
    before = trained["draft"]["step"]
    again = lab.train("m", steps=61, draft="1x32")["draft"]
    assert again["step"] > before
    other = lab.train("m", steps=62, draft="2x32")["draft"]
    newest = drafts(lab).find("latest")
    assert newest.record.config["layers"] == 2
    assert newest.step == other["step"]


@pytest.mark.parametrize("wrong", ["big", "2by128", "0x64", "2x5000", "2x100", "13x64"])
def test_what_is_no_shape_is_refused_at_once(lab: Workspace, wrong: str) -> None:
    with pytest.raises(TreadleError, match="--draft takes auto or a shape"):
        lab.train("m", steps=99, draft=wrong)


def test_a_model_that_the_native_engine_does_not_run_gets_no_draft(lab: Workspace) -> None:
    workspace = WorkspaceFolder(lab.root)
    lab.new("slow", [*SHAPE, "family.attention=linear"], size="nano", tokenizer="char")
    settings = settings_of_run(workspace, ModelCards(workspace).get("slow"), [], None)
    with pytest.raises(TreadleError, match="A draft model guesses for the native engine, which cannot run"):
        require_use(Settings.from_dict(settings))
