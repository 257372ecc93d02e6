"""Precedence and origins. Each trap of an earlier system stands here as a test."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from packaging.version import Version

from treadle.base.errors import SettingsError, UsageError
from treadle.config.compose import Sources, compose, examine
from treadle.config.tree import Origin

Write = Callable[[str, str], Path]

KEY = "training.batch_size"


def refusal(**sources: object) -> str:
    with pytest.raises(SettingsError) as caught:
        compose(Sources(**sources))  # type: ignore[arg-type]
    assert isinstance(caught.value, UsageError)
    return str(caught.value)


# --- precedence -----------------------------------------------------------------------------------------------------


def test_each_layer_beats_the_one_below_it_and_is_named_as_the_origin(write: Write) -> None:
    workspace = write("treadle.yaml", f"format: 1\nsettings:\n  training:\n    batch_size: {101}\n")
    model = write("model.yaml", "name: bard\nsettings:\n  training: {batch_size: 102}\n")
    run = write("run.yaml", "training:\n\n  batch_size: 103\n")
    layers = [
        ({"workspace_file": workspace}, 101, Origin("workspace", "treadle.yaml", 4)),
        ({"model_file": model}, 102, Origin("model", "model.yaml", 3)),
        ({"run_file": run}, 103, Origin("run file", "run.yaml", 3)),
        ({"flags": [f"{KEY}=104"]}, 104, Origin("command line")),
        ({"values": {KEY: 105}}, 105, Origin("call")),
    ]
    given: dict[str, object] = {}
    assert compose(Sources()).origins[KEY] == Origin("size small", "conf/size/small.yaml", 12)
    for sources, value, origin in layers:
        given.update(sources)
        settings = compose(Sources(**given))  # type: ignore[arg-type]
        assert settings.training.batch_size == value
        assert settings.origins[KEY] == origin


def test_a_class_default_is_below_every_preset() -> None:
    settings = compose(Sources(flags=["generation=greedy"]))
    assert settings.origins["generation.top_k"] == Origin("built-in")
    assert settings.generation.temperature == 0
    assert settings.origins["generation.temperature"] == Origin("generation greedy", "conf/generation/greedy.yaml", 2)


def test_every_leaf_has_an_origin() -> None:
    settings = compose(Sources(flags=["training=adamw", "generation.stop=[a,b]"]))
    assert settings.generation.stop == ("a", "b")
    optimizer = settings.values()["training"]["optimizer"]
    assert {f"training.optimizer.{name}" for name in optimizer} < set(settings.origins)
    leaves = sum(len(section) for section in settings.values().values()) - 1 + len(optimizer)
    assert len(settings.origins) == leaves


def test_presets_come_after_each_other_in_a_fixed_order_whatever_the_order_of_the_flags() -> None:
    for flags in (["training=adamw", "size=tiny"], ["size=tiny", "training=adamw"]):
        settings = compose(Sources(flags=flags))
        assert settings.training.optimizer.name == "adamw"
        assert settings.training.batch_size == 8


def test_a_preset_chosen_on_the_command_line_still_ranks_below_values_of_the_workspace(write: Write) -> None:
    workspace = write("treadle.yaml", "settings: {training: {batch_size: 5}}\n")
    settings = compose(Sources(workspace_file=workspace, flags=["size=nano"]))
    assert settings.training.batch_size == 5
    assert settings.size == "nano"


def test_the_highest_layer_that_chooses_a_preset_counts(write: Write) -> None:
    workspace = write("treadle.yaml", "settings:\n  size: tiny\n")
    model = write("model.yaml", "settings:\n  defaults:\n    - override /family: gpt2\n    - override /size: medium\n")
    assert compose(Sources(workspace_file=workspace)).size == "tiny"
    settings = compose(Sources(workspace_file=workspace, model_file=model))
    assert settings.choices["size"].origin == Origin("model", "model.yaml", 4)
    assert settings.values()["family"]["positions"] == "learned"
    assert compose(Sources(workspace_file=workspace, model_file=model, size="base")).size == "base"
    assert compose(Sources(size="base", flags=["size=nano"])).size == "nano"
    assert compose(Sources(flags=["size=nano"], values={"size": "tiny"})).size == "tiny"


def test_the_last_of_two_equal_flags_counts() -> None:
    assert compose(Sources(flags=[f"{KEY}=1", f"{KEY}=2"])).training.batch_size == 2


def test_a_shipped_experiment_is_a_run_file(write: Write) -> None:
    model = write("model.yaml", "settings: {training: {batch_size: 5}}\n")
    settings = compose(Sources(model_file=model, flags=["experiment=nanogpt-cpu", "family.layers=2"]))
    assert settings.training.batch_size == 12
    assert settings.origins[KEY] == Origin("experiment nanogpt-cpu", "conf/experiment/nanogpt-cpu.yaml", 20)
    assert settings.values()["family"]["layers"] == 2
    assert compose(Sources(values={"experiment": "nanogpt-cpu"})).training.batch_size == 12


def test_an_experiment_beside_a_run_file_is_refused(write: Write) -> None:
    message = refusal(run_file=write("run.yaml", ""), flags=["experiment=nanogpt-cpu"])
    assert message == "`experiment=nanogpt-cpu` and the file run.yaml are both run files. Give one of them."
    assert "Unknown experiment `x`" in refusal(flags=["experiment=x"])


def test_naming_another_optimizer_leaves_nothing_of_the_old_one() -> None:
    settings = compose(Sources(size="nano", flags=["training.optimizer.name=adamw"]))
    assert settings.training.optimizer.learning_rate == 3e-3  # nano's 0.01 was meant for the rates of muon
    assert settings.origins["training.optimizer.learning_rate"] == Origin("built-in")


def test_naming_the_same_optimizer_keeps_what_the_layers_below_say() -> None:
    settings = compose(Sources(size="nano", flags=["training.optimizer.name=muon", "training.optimizer.momentum=0.9"]))
    assert settings.training.optimizer.learning_rate == 0.01


def test_values_of_a_call_may_be_nested_or_dotted() -> None:
    settings = compose(
        Sources(values={"training": {"clip": 2.0}, "training.optimizer.name": "adamw", "size": "nano", "data": {}})
    )
    assert (settings.training.clip, settings.training.optimizer.name, settings.size) == (2.0, "adamw", "nano")


# --- the traps ------------------------------------------------------------------------------------------------------


def test_a_data_block_in_a_training_preset_is_an_error_not_training_data(conf: Path) -> None:
    (conf / "training" / "x.yaml").write_text("clip: 2\ndata:\n  sequence_length: 3\n")
    message = refusal(conf=conf, flags=["training=x"])
    assert message == (
        "`data` in conf/training/x.yaml:2 is another section; a preset of training sets only training.*. "
        "Move it to a preset of data, or to a run file."
    )


def test_a_training_preset_cannot_reach_out_through_a_package_line(conf: Path) -> None:
    (conf / "training" / "x.yaml").write_text("# @package _global_\ndata:\n  sequence_length: 3\n")
    assert refusal(conf=conf, flags=["training=x"]) == (
        "A preset of training sets training.* and nothing else; remove the `@package` line in conf/training/x.yaml:1."
    )


def test_a_preset_may_build_on_another_of_its_group(conf: Path) -> None:
    (conf / "training" / "x.yaml").write_text("defaults:\n  - adamw\n  - _self_\nclip: 2.0\n")
    settings = compose(Sources(conf=conf, flags=["training=x"]))
    assert (settings.training.optimizer.name, settings.training.clip) == ("adamw", 2.0)
    assert settings.origins["training.optimizer.name"].file == "conf/training/adamw.yaml"
    assert settings.origins["training.clip"].line == 4


def test_a_broken_preset_is_named_with_its_line(conf: Path) -> None:
    (conf / "training" / "x.yaml").write_text("clip: 2.0\nclip: 3.0\n")
    assert "conf/training/x.yaml:2" in refusal(conf=conf, flags=["training=x"])
    (conf / "training" / "x.yaml").write_text("defaults:\n  - nothere\n")
    assert "training/nothere" in refusal(conf=conf, flags=["training=x"])
    (conf / "training" / "y.yaml").write_text("clip: [\n")
    (conf / "training" / "x.yaml").write_text("defaults:\n  - y\n")
    assert "y.yaml" in refusal(conf=conf, flags=["training=x"])
    (conf / "training" / "x.yaml").write_text("clipp: 2.0\n")
    assert refusal(conf=conf, flags=["training=x"]) == (
        "Unknown setting `training.clipp` in conf/training/x.yaml:1. Did you mean `training.clip`?"
    )


def test_the_root_file_of_presets_sets_nothing_so_it_cannot_beat_them(conf: Path) -> None:
    text = (conf / "settings.yaml").read_text()
    assert text.rstrip().endswith("- _self_")
    (conf / "settings.yaml").write_text(text + "training:\n  batch_size: 999\n")
    assert compose(Sources(conf=conf)).training.batch_size == 16


def test_used_as_given_or_refused_never_rounded() -> None:
    assert compose(Sources(flags=["training.clip=0.1234567890123"])).training.clip == 0.1234567890123
    for flag in (f"{KEY}=2.5", f"{KEY}=2.0", f"{KEY}=true", f"{KEY}='2'", f"{KEY}=0", f"{KEY}=010", f"{KEY}=null"):
        assert f"`{KEY}` cannot be " in refusal(flags=[flag])


def test_nothing_is_taken_from_the_environment(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIZE", "7")
    run = write("run.yaml", "training:\n  batch_size: ${oc.env:SIZE}\n")
    assert (
        refusal(run_file=run)
        == "run.yaml:2 cannot be read: `${...}` is not resolved in settings; write the value itself."
    )
    for flag in (f"{KEY}=${{oc.env:SIZE}}", "data.tokenizer='${x}'"):
        assert "`${...}` is not resolved" in refusal(flags=[flag])


# --- what is wrong, and where ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flag", "meant"),
    [
        ("trainng.learning_rate=1", "training.optimizer.learning_rate"),
        ("trainng.batch_size=1", KEY),
        ("training.sequence_length=3", "data.sequence_length"),
        ("data.sequence_lenth=3", "data.sequence_length"),
        ("learning_rate=1", "training.optimizer.learning_rate"),
        ("training.optimizer.learning_rte=1", "training.optimizer.learning_rate"),
        ("training.temprature=1", "generation.temperature"),
        ("sizee=tiny", "size"),
        ("training.layers=4", "family.layers"),
        ("data.tokens=4", "generation.tokens"),
        ("generation.momentm=1", "training.optimizer.momentum"),
        ("training.seeds=1", "training.seed"),
        ("generation.seeds=1", "generation.seed"),
        ("training.batch=1", "training.batch_size"),
        ("training.optimzer.name=adamw", "training.optimizer.name"),
        ("clip=1", "training.clip"),
    ],
)
def test_an_unknown_flag_is_refused_with_what_was_meant(flag: str, meant: str) -> None:
    key = flag.partition("=")[0]
    assert refusal(flags=[flag]) == f"Unknown setting `{key}` on the command line. Did you mean `{meant}`?"


def test_an_unknown_key_near_nothing_says_where_the_settings_are_listed() -> None:
    assert refusal(flags=["zzz.qqq=1"]).endswith("`treadle config show` lists the settings.")
    assert refusal(flags=["training.batch_size.x=1"]).startswith("`training.batch_size` cannot be")


def test_unknown_keys_in_files_carry_their_lines_all_at_once(write: Write) -> None:
    workspace = write("treadle.yaml", "settings:\n  trainng:\n    clip: 1\n  data:\n    tokeniser: char\n")
    run = write("run.yaml", "training:\n  optimizer:\n    beta3: 1\nclip: 1\n")
    assert refusal(workspace_file=workspace, run_file=run, flags=["clp=1"]).splitlines() == [
        "Unknown setting `trainng` in treadle.yaml:2. Did you mean `training`?",
        "Unknown setting `data.tokeniser` in treadle.yaml:5. Did you mean `data.tokenizer`?",
        "Unknown setting `training.optimizer.beta3` in run.yaml:3. Did you mean `training.optimizer.beta2`?",
        "Unknown setting `clip` in run.yaml:4. Did you mean `training.clip`?",
        "Unknown setting `clp` on the command line. Did you mean `training.clip`?",
    ]


def test_a_setting_of_another_optimizer_is_explained() -> None:
    assert refusal(flags=["training=adamw", "training.optimizer.momentum=0.5"]) == (
        "Unknown setting `training.optimizer.momentum` on the command line. "
        "`training.optimizer.name` is `adamw`, which has no such setting."
    )


def test_a_value_that_does_not_fit_says_what_it_must_be_and_what_it_means(write: Write) -> None:
    run = write("run.yaml", "generation:\n  stop:\n    - a\n    - 3\ntraining:\n  batch_size: twelve\n")
    meaning = f"`{KEY}` is: examples of one micro-batch."
    stop, described = "`generation.stop`", "end before the first of these texts"
    assert refusal(run_file=run).splitlines() == [
        f"`{KEY}` cannot be `twelve` in run.yaml:6: it must be a whole number. {meaning}",
        f"{stop} cannot be `3` in run.yaml:4: it must be text; put quotes around it. {stop} is: {described}.",
    ]
    assert "it must be greater than or equal to 1" in refusal(flags=[f"{KEY}=0"])
    assert "it must be 'adamw' or 'muon'" in refusal(flags=["training.optimizer.name=adam"])
    assert "such as `training.optimizer.name`" in refusal(flags=["training.optimizer=muon"])
    assert refusal(flags=["training.clip=nan"]).endswith("it must be a finite number.")
    assert "... " not in refusal(flags=[f"{KEY}=short"])
    assert f"`{'x' * 57}...`" in refusal(flags=[f"{KEY}={'x' * 500}"])
    assert "empty (null)" in refusal(flags=[f"{KEY}=null"])


def test_a_rule_over_several_fields_names_the_places_of_all_of_them(write: Write) -> None:
    run = write("run.yaml", "family:\n  width: 100\n")
    assert refusal(run_file=run, flags=["family.heads=7"]) == (
        "`family` does not fit: width 100 is not a multiple of heads 7; set head_width or change one "
        "(family.width in run.yaml:2, family.heads on the command line)."
    )
    assert refusal(flags=["data.tokenizer=byte"]).endswith("or the path of a tokenizer.json (on the command line).")


def test_an_unknown_preset_names_the_known_ones(write: Write) -> None:
    assert refusal(flags=["size=smal"]) == (
        "Unknown size `smal` on the command line. Did you mean `small`? Known: base, medium, nano, small, tiny."
    )
    run = write("run.yaml", "defaults:\n  - override /sise: tiny\n")
    assert refusal(run_file=run).startswith("Unknown group of presets `sise` in run.yaml:2. Did you mean `size`?")
    assert "`data` has no preset `x`" in refusal(flags=["data=x"])
    assert "Unknown size `../tiny`" in refusal(size="../tiny")
    assert "Unknown family `abacus` on the command line" in refusal(flags=["family.name=abacus"])
    assert "Unknown family `3`" in refusal(flags=["family.name=3"])


@pytest.mark.parametrize(
    ("flag", "part"),
    [
        ("training", "write it as key=value"),
        ("+training.clip=1", "without `+`"),
        ("~training.clip", "without `+`"),
        ("training@data=x", "without `+`"),
        ("=3", "without `+`"),
        ("training.clip=1,2", "several values at once"),
        ("training.clip=range(1,3)", "several values at once"),
        ("data.tokenizer=ü", "'data.tokenizer=\"ü\"'"),
        ("generation.stop=[a", "Cannot read the value of"),
        ("training=3", "must be the name of a preset, or a mapping"),
        ("training=null", "must be the name of a preset, or a mapping"),
        ("size=3", "is chosen by name"),
        ("size.layers=3", "is chosen by name"),
        ("defaults=[x]", "Unknown setting `defaults`"),
        (f"generation.stop={'[' * 5000}", "Cannot read the value of"),
    ],
)
def test_a_flag_that_cannot_be_used_says_how_to_write_it(flag: str, part: str) -> None:
    assert part in refusal(flags=[flag])


def test_values_of_a_call_that_are_not_plain_are_refused() -> None:
    assert refusal(values={"data.tokenizer": Path("x")}).startswith("`data.tokenizer` cannot be a ")
    assert refusal(values={"training": {"clip": float("nan")}}).endswith("in the call: it must be a finite number.")
    assert refusal(values={"generation.stop": [float("inf")]}).endswith("in the call: it must be a finite number.")


def test_one_examination_finds_what_is_wrong_in_every_layer(write: Write) -> None:
    workspace = write("treadle.yaml", "settings:\n  size: smal\n  size: tiny\n")
    model = write("model.yaml", "settings:\n  training: {clip: -1}\n")
    found = examine(
        Sources(workspace_file=workspace, model_file=model, run_file=Path("gone.yaml"), flags=["x"])
    ).findings
    assert [(finding.file, finding.line) for finding in found] == [
        ("treadle.yaml", 3),
        ("gone.yaml", None),
        (None, None),
        ("model.yaml", 2),
    ]


# --- the neighbours -------------------------------------------------------------------------------------------------


def test_composing_leaves_an_outer_hydra_alone(tmp_path: Path) -> None:
    (tmp_path / "outer.yaml").write_text("a: 1\n")
    with hydra.initialize_config_dir(str(tmp_path), version_base="1.2"):
        compose(Sources(size="nano"))
        assert hydra.compose("outer").a == 1
        assert hydra.version.getbase() == Version("1.2")
    assert not GlobalHydra.instance().is_initialized()


def test_threads_may_compose_at_the_same_time() -> None:
    sizes = ["nano", "tiny", "small", "medium"] * 3
    found: dict[int, str | None] = {}
    threads = [
        threading.Thread(target=lambda i=i, size=size: found.update({i: compose(Sources(size=size)).size}))
        for i, size in enumerate(sizes)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[i] for i in range(len(sizes))] == sizes


def test_composing_needs_neither_numpy_nor_torch() -> None:
    code = (
        "import sys, json\n"
        "import treadle.config.show, treadle.config.constraints\n"
        "from treadle.config.compose import Sources, compose\n"
        "compose(Sources(size='tiny', flags=['training.clip=2.0']))\n"
        "print(json.dumps([name for name in ('numpy', 'torch', 'hydra') if name in sys.modules]))\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    assert json.loads(answer) == []
