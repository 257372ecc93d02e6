"""Every shipped preset is composed and built: no flagship points at something that does not exist."""

from __future__ import annotations

import importlib.util
import itertools
import math
import re
from typing import TYPE_CHECKING, Any

import hydra
import pytest
from omegaconf import OmegaConf

from treadle.config.compose import CONF, Sources, compose
from treadle.config.presets import options
from treadle.config.schema import EXPERIMENT, GROUPS, SECTIONS, families
from treadle.config.tree import leaves, plain
from treadle.config.yaml_source import read_yaml
from treadle.models.gpt.weights import parameter_count

if TYPE_CHECKING:
    from treadle.config.settings import Settings

# Smallest and largest number of parameters with 257 token ids, by the label of the size.
LABELS = {
    "nano": (0, 1e6),
    "tiny": (0.85e6, 1.15e6),
    "small": (9e6, 11e6),
    "medium": (23e6, 27e6),
    "base": (90e6, 100e6),
}
OWN_SIZES = [  # of families that are not gpt
    (family, name) for family in families().names() for name in options(CONF / "size", family)
]
PRESETS = [(group, name) for group in GROUPS for name in options(CONF, group)]
EXPERIMENTS = options(CONF, EXPERIMENT)
EVERY = [f"{group}={name}" for group, name in (*PRESETS, *((EXPERIMENT, name) for name in EXPERIMENTS))]


def _shapes(settings: Settings) -> dict[str, tuple[int, ...]]:
    family = families().get(settings.values()["family"]["name"])
    return dict(family.weight_shapes(settings.family, 257, settings.data.sequence_length))


@pytest.mark.parametrize("choice", EVERY)
def test_every_preset_composes_and_gives_weights_a_shape(choice: str) -> None:
    settings = compose(Sources(flags=[choice]))
    assert all(extent > 0 for shape in _shapes(settings).values() for extent in shape)
    group, _, name = choice.partition("=")
    if group != EXPERIMENT:
        assert settings.choices[group].name == name


@pytest.mark.parametrize("choice", EVERY)
def test_every_value_of_a_preset_is_in_force_with_its_line(choice: str) -> None:
    group, _, name = choice.partition("=")
    settings = compose(Sources(flags=[choice]))
    tree = read_yaml(CONF / group / f"{name}.yaml", f"{group} {name}", f"conf/{group}/{name}.yaml")
    for key, leaf in leaves(tree):
        if key == "defaults":
            continue
        dotted = f"{group}.{key}" if group in SECTIONS else key
        assert settings.origins[dotted] == leaf.origin
        value: Any = settings.values()
        for part in dotted.split("."):
            value = value[part]
        assert value == plain(leaf)


@pytest.mark.parametrize(("family", "name"), OWN_SIZES)
def test_a_familys_own_size_has_as_many_parameters_as_its_label_says(family: str, name: str) -> None:
    settings = compose(Sources(flags=[f"family={family}", f"size={name}"]))
    count = sum(math.prod(shape) for shape in _shapes(settings).values())
    label = re.search(r"# ([0-9.]+) M parameters", (CONF / "size" / family / f"{name}.yaml").read_text())
    assert label is not None
    assert count / 1e6 == pytest.approx(float(label[1]), rel=0.1)


def test_a_familys_own_size_stands_for_the_plain_one() -> None:
    settings = compose(Sources(flags=["family=rnn", "size=tiny"]))
    assert settings.choices["size"].name == settings.size == "tiny"
    assert settings.origins["family.width"].file == "conf/size/rnn/tiny.yaml"
    assert compose(Sources(flags=["size=tiny"])).origins["family.width"].file == "conf/size/tiny.yaml"


def test_all_combinations_of_family_size_and_training_compose() -> None:
    for family, size, training in itertools.product(
        *(options(CONF, group) for group in ("family", "size", "training"))
    ):
        settings = compose(Sources(flags=[f"family={family}", f"size={size}", f"training={training}"]))
        assert _shapes(settings)


def test_the_sizes_are_those_with_a_label() -> None:
    assert set(options(CONF, "size")) == set(LABELS)


@pytest.mark.parametrize("size", LABELS)
def test_a_size_has_as_many_parameters_as_its_label_says(size: str) -> None:
    settings = compose(Sources(size=size))
    least, most = LABELS[size]
    assert least < parameter_count(settings.family, 257, settings.data.sequence_length) < most  # type: ignore[arg-type]


@pytest.mark.parametrize("size", ["nano", "tiny"])
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs the extra `torch`")
@pytest.mark.parametrize("family", options(CONF, "family"))
def test_the_module_of_a_small_preset_has_the_shapes_that_were_promised(size: str, family: str) -> None:
    settings = compose(Sources(flags=[f"size={size}", f"family={family}"]))
    built = families().get(settings.values()["family"]["name"])
    module = built.build_model(settings.family, 257, settings.data.sequence_length)
    assert {name: tuple(value.shape) for name, value in module.state_dict().items()} == _shapes(settings)


def test_bigger_sizes_have_more_parameters_and_lower_rates() -> None:
    ordered = [compose(Sources(size=size)) for size in LABELS]
    counts = [parameter_count(one.family, 257, one.data.sequence_length) for one in ordered]  # type: ignore[arg-type]
    rates = [one.values()["training"]["optimizer"]["matrix_learning_rate"] for one in ordered]
    assert counts == sorted(counts)
    assert rates == sorted(rates, reverse=True)


def test_the_file_of_defaults_names_every_group_with_presets_and_sets_nothing() -> None:
    tree = read_yaml(CONF / "settings.yaml", "built-in")
    assert list(tree.value) == ["defaults"]
    *named, last = plain(tree)["defaults"]
    assert last == "_self_"
    order = [group for line in named for group in line]
    assert order == [group for group in GROUPS if options(CONF, group)]


def test_presets_hold_no_interpolation_and_every_file_lies_in_a_known_group() -> None:
    for path in CONF.rglob("*"):
        if path.is_file():
            assert path.suffix == ".yaml"
            group, *below = path.relative_to(CONF).parts[:-1] or ["", ""]
            assert group in {*GROUPS, EXPERIMENT, "study"} or path == CONF / "settings.yaml"
            assert not below or group in {"size", ""}
            read_yaml(path, "any")


@pytest.mark.parametrize("choice", EVERY)
def test_plain_hydra_composes_the_same_values(choice: str) -> None:
    """The files are ordinary Hydra files; only what another optimizer leaves behind is dropped by our merge."""
    group, _, _name = choice.partition("=")
    overrides = [f"+{choice}" if group == EXPERIMENT else choice]
    family = compose(Sources(flags=[choice])).family.name  # type: ignore[attr-defined]
    if family != "gpt":
        overrides.append(f"size={family}/small")  # a family's own size; that plain Hydra is to be told
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        composed = OmegaConf.to_container(hydra.compose("settings", overrides=overrides))
    settings = compose(Sources(flags=[choice]))
    for key, origin in settings.origins.items():
        if origin.file is not None:
            value, theirs = settings.values(), composed
            for part in key.split("."):
                value, theirs = value[part], theirs[part]  # type: ignore[index,call-overload]
            assert value == theirs, key


def test_the_nanogpt_experiment_is_its_published_shape() -> None:
    settings = compose(Sources(flags=[f"{EXPERIMENT}=nanogpt-cpu"]))
    assert parameter_count(settings.family, 65, 64) == 4 * (12 * 128**2 + 2 * 128) + 128 + 65 * 128 + 64 * 128  # type: ignore[arg-type]
    assert settings.training.examples_per_step * settings.data.sequence_length == 768
