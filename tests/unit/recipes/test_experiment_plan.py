"""What is asked of an experiment becomes a checked plan, or a refusal that says what to do."""

import pytest

from treadle.base.errors import TreadleError, UsageError
from treadle.base.names import check_name
from treadle.config.compose import Sources, compose
from treadle.config.studies import read_study, study_names
from treadle.recipes.experiment_files import ExperimentFiles
from treadle.recipes.experiment_plan import Asked, Plan, length, plan_experiment
from treadle.store.workspace import create_workspace


@pytest.fixture
def workspace(tmp_path):
    return create_workspace(tmp_path / "lab")


def asked(name="depth", **changes):
    fields = {
        "overrides": ["size=nano"],
        "grid": ["family.layers=1,2"],
        "on": ["bundled:names"],
        "budget": "10steps",
        "seeds": None,
        "study": None,
    }
    return Asked(name, **{**fields, **changes})


def test_every_cell_has_every_seed_and_the_first_seed_comes_first(workspace):
    plan = plan_experiment(workspace, asked(seeds=2))
    assert [(member.cell.label, member.seed) for member in plan.members()] == [
        ("layers=1", 1),
        ("layers=2", 1),
        ("layers=1", 2),
        ("layers=2", 2),
    ]
    assert len({member.key for member in plan.members()}) == 4
    assert Plan.from_json(plan.to_json()) == plan


def test_models_of_the_longest_name_can_be_named(workspace):
    grid = ["family.layers=1,2,3,4", "training.batch_size=16,32", "training.optimizer.name=adamw,muon"]
    plan = plan_experiment(workspace, asked("n" * 30, grid=grid, seeds=30))
    assert all(check_name("model", f"{plan.name}.{member.key}") for member in plan.members())
    ExperimentFiles.of(workspace, plan.name).write_plan(plan.to_json())
    (workspace.datasets / plan.id).mkdir(parents=True)
    assert plan_experiment(workspace, Asked(plan.name, [], [], [], None, None, None)) == plan


def test_three_seeds_unless_asked_otherwise(workspace):
    plan = plan_experiment(workspace, asked())
    assert (plan.seeds, plan.budget) == (3, "10 steps")


@pytest.mark.parametrize("study", study_names())
def test_every_shipped_study_makes_a_plan(workspace, study):
    found = read_study(study)
    plan = plan_experiment(workspace, Asked(None, [], [], [], None, None, study))
    assert (plan.name, plan.question) == (study, found.question)
    assert len(plan.cells) > 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "n" * 31}, "at most 30 characters"),
        ({"budget": None}, "--budget"),
        ({"budget": "soon"}, "is no budget"),
        ({"budget": "0s"}, "is no budget"),
        ({"on": []}, "--on"),
        ({"on": ["nothing-here"]}, "neither a file nor a model"),
        ({"on": ["bundled:nothing"]}, "Nothing bundled"),
        ({"grid": []}, "nothing to vary"),
        ({"grid": ["family.layers=1,zero"]}, "family.layers"),
        ({"grid": ["family=gpt,image_classifier"]}, "different kinds of data"),
        ({"seeds": -1}, "at least one seed"),
        ({"grid": ["training.clip=range(1,400)"]}, "at most 500"),
        ({"study": "attention-span"}, "No study"),
        ({"name": None}, "a name"),
        ({"name": "no/name"}, "cannot be the name"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_begins(workspace, changes, said):
    with pytest.raises(TreadleError, match=said):
        plan_experiment(workspace, asked(**changes))


def test_a_first_word_with_an_equals_sign_is_a_setting(workspace):
    plan = plan_experiment(workspace, asked("family.width=64", study="optimizers", grid=[], on=[], budget=None))
    assert plan.name == "optimizers"
    assert "family.width=64" in plan.settings


def test_an_experiment_that_exists_takes_more_seeds_and_cells_but_no_other_budget(workspace):
    first = plan_experiment(workspace, asked())
    ExperimentFiles.of(workspace, "depth").write_plan(first.to_json())
    assert plan_experiment(workspace, asked(budget="20steps")).budget == "20 steps"  # it has no data yet
    (workspace.datasets / first.id).mkdir(parents=True)
    again = plan_experiment(workspace, Asked("depth", [], [], [], None, None, None))
    assert again == first
    more = plan_experiment(workspace, asked(grid=["family.layers=1,2,4"], seeds=5))
    assert (more.id, len(more.cells), more.seeds) == (first.id, 3, 5)
    assert {member.key for member in first.members()} < {member.key for member in more.members()}
    for changes in ({"budget": "20steps"}, {"overrides": ["size=tiny"]}, {"on": ["bundled:shakespeare"]}):
        with pytest.raises(UsageError, match="not be comparable"):
            plan_experiment(workspace, asked(**changes))


def settings(*flags):
    return compose(Sources(flags=["size=nano", "data.held_out=0.1", *flags]))


@pytest.mark.parametrize(
    ("budget", "unit", "amount"),
    [
        ("90s", "minutes", 1.5),
        ("5m", "minutes", 5),
        ("1h", "minutes", 60),
        ("200steps", "steps", 200),
        ("2.5epochs", "epochs", 2.5),
        ("100000tokens", "steps", 66),  # 24 x 64 tokens a step
        ("900bytes", "epochs", 1.0),  # of the nine tenths that are trained on
    ],
)
def test_a_budget_is_a_length_of_training(budget, unit, amount):
    assert length(budget, settings(), 1000) == (unit, pytest.approx(amount))


def test_pictures_have_no_tokens_and_no_bytes():
    with pytest.raises(UsageError, match="is for text"):
        length("1000tokens", compose(Sources(flags=["family=image_classifier"])), 1000)
