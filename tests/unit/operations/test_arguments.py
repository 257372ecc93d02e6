"""Arguments from Python: converted where nothing is lost, refused with the remedy where something is wrong."""

import inspect
from pathlib import Path

import pytest

from treadle.base.errors import UsageError
from treadle.operations.api import Workspace
from treadle.operations.arguments import python_arguments, python_signature
from treadle.operations.operation import operations


def arguments(verb, *positional, **named):
    return python_arguments(operations()[verb], positional, named)


@pytest.mark.parametrize(
    ("verb", "positional", "named", "said"),
    [
        ("train", ("bard",), {"steps": "abc"}, "`train`: `steps` must be a whole number or None, not 'abc'."),
        ("train", ("bard",), {"steps": 95.5}, "`train`: `steps` must be a whole number or None, not 95.5."),
        ("train", ("bard",), {"steps": True}, "`train`: `steps` must be a whole number or None, not True."),
        ("train", ("bard",), {"minutes": "3"}, "`train`: `minutes` must be a number or None, not '3'."),
        ("train", ("bard",), {"stepps": 5}, "`train` has no parameter `stepps`. Did you mean `steps`?"),
        ("train", (), {}, "`train` needs `model`: name of the model."),
        ("train", ("bard", [], 5), {}, "`train` got 3 values without a name; those it takes: model, overrides."),
        ("train", ("bard",), {"model": "bard"}, "`train` got `model` twice"),
        ("sample", ("bard",), {"unknown": "bogus"}, "`unknown` must be 'error' or 'skip', not 'bogus'."),
        ("sample", ("bard",), {"prompt": None}, "`sample`: `prompt` must be a text, not None."),
        ("sample", ("bard",), {"temprature": 1}, "Did you mean `temperature`?"),
        ("sample", ("bard",), {"settings": {"temprature": 1}}, "Did you mean `temperature`?"),
        ("sample", ("bard",), {"settings": [1]}, "`settings` must be a dict of settings by name, not [1]."),
        ("sample", ("bard",), {"temperature": "hot"}, "`sample`: `temperature` must be a number, not 'hot'."),
        ("sample", ("bard",), {"tokens": 0}, "`sample`: `tokens`: input should be greater than or equal to 1, not 0."),
        ("sample", ("bard",), {"stop": ["a", 3]}, "`sample`: `stop`: input should be a valid string, not 3."),
        ("sample", ("bard",), {"checkpoint": 1.5}, "`checkpoint` must be a text or a whole number, not 1.5."),
        ("new", (5,), {}, "`new`: `name` must be a text, not 5."),
        ("feed", ("bard", 7), {}, "`feed`: `paths` must be a path or a list of them, not 7."),
        ("feed", ("bard", [7]), {}, "`feed`: `paths` must be a path or a list of them, not [7]."),
        ("show", ("bard",), {"origins": 1}, "`show`: `origins` must be True or False, not 1."),
        ("list", (), {"x": "y" * 90}, "`list` has no parameter `x`. It takes none."),
        ("delete", ("x" * 3,), {"modl": 1}, "Did you mean `model`?"),
    ],
)
def test_a_wrong_argument_is_named_with_what_is_wanted(verb, positional, named, said):
    with pytest.raises(UsageError) as caught:
        arguments(verb, *positional, **named)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("verb", "positional", "named", "made"),
    [
        ("feed", ("bard", "a.txt"), {}, {"model": "bard", "paths": [Path("a.txt")]}),
        ("feed", ("bard", Path("a")), {}, {"model": "bard", "paths": [Path("a")]}),
        ("feed", ("bard", ("a", Path("b"))), {}, {"model": "bard", "paths": [Path("a"), Path("b")]}),
        ("train", ("bard", "x.y=1"), {"minutes": 3}, {"model": "bard", "overrides": ["x.y=1"], "minutes": 3.0}),
        ("train", ("bard",), {"steps": 1e3, "epochs": None}, {"model": "bard", "steps": 1000, "epochs": None}),
        ("sample", ("bard",), {"checkpoint": 90}, {"model": "bard", "checkpoint": 90, "settings": {}}),
        ("sample", ("bard",), {"stop": "a"}, {"model": "bard", "settings": {"stop": ("a",)}}),
        ("sample", ("b",), {"settings": {"seed": 1}, "top_k": 4}, {"model": "b", "settings": {"seed": 1, "top_k": 4}}),
        ("sample", ("b",), {"stop": ["a"], "seed": None}, {"model": "b", "settings": {"stop": ["a"], "seed": None}}),
        ("init", (), {"folder": "lab"}, {"folder": Path("lab")}),
    ],
)
def test_a_fitting_argument_is_converted(verb, positional, named, made):
    found = arguments(verb, *positional, **named)
    assert found == made
    assert {name: type(value) for name, value in found.items()} == {name: type(value) for name, value in made.items()}


def test_a_method_has_the_signature_of_its_operation(tmp_path):
    workspace = Workspace.create(tmp_path / "lab")
    names = list(inspect.signature(workspace.sample).parameters)
    assert names[:3] == ["model", "overrides", "prompt"]
    assert {"temperature", "stop", "on_event"} < set(names)
    assert inspect.signature(workspace.train).parameters["steps"].default is None
    assert "on_event" not in python_signature(operations()["show"]).parameters
    with pytest.raises(UsageError, match="has no parameter `on_event`"):
        workspace.list(on_event=print)


def test_an_exception_while_a_job_is_followed_leaves_it_running(tmp_path):
    workspace = Workspace.create(tmp_path / "lab")
    workspace.new("bard", size="nano", tokenizer="char")
    (tmp_path / "a.txt").write_text("To be or not to be, that is the question. " * 200)
    workspace.feed("bard", tmp_path / "a.txt")

    def fail(event):
        if event.type == "progress":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        workspace.train("bard", ["training.sample_every=0"], minutes=2, on_event=fail)
    [training] = [row for row in workspace.jobs_list().jobs if row.kind == "train"]
    assert training.state == "running"
    workspace.jobs_stop(training.id)
    assert workspace.jobs_follow(training.id)["outcome"] == "stopped"
    assert workspace.show("bard").steps > 0, "what was learned is kept"
