"""What the terminal shows, verb by verb, in one process."""

import runpy
import sys

import pytest

from treadle.cli.main import main
from treadle.data.bundled.texts import bundled_text
from treadle.operations.operation import operations


def _needs_arguments(entry):
    return any(parameter.required for parameter in entry.parameters())


SHAPE = ("family.layers=1", "family.width=32", "family.heads=2", "data.sequence_length=32", "training.batch_size=4")


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def call(*arguments, code=0):
        ended = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            ended = end.code
        shown = capfd.readouterr()
        assert ended == code, shown.err
        return shown.out if code == 0 else shown.out + shown.err

    return call


@pytest.fixture
def lab(run, tmp_path, monkeypatch):
    run("init", "lab")
    monkeypatch.chdir(tmp_path / "lab")
    (tmp_path / "a.txt").write_text(bundled_text("shakespeare").read_text(encoding="utf-8")[:30_000])
    return run


def test_each_light_verb_ends_with_the_next_step(run, tmp_path, monkeypatch):
    assert run("init", "lab").splitlines() == [
        f"Workspace {tmp_path / 'lab'} is ready.",
        "Next, inside it: treadle new NAME, treadle feed NAME FILES, treadle train NAME",
    ]
    monkeypatch.chdir(tmp_path / "lab")
    assert run("list") == "No models yet. Make one with: treadle new NAME\n"
    made = run("new", "bard", "--size", "nano")
    assert made.startswith("Model `bard` (gpt nano")
    assert ", window " in made.splitlines()[0]
    assert "Next: treadle feed bard FILES" in made
    assert "bard" in run("list")
    shown = run("show", "bard")
    assert "0 accepted · 0 refused" in shown
    assert "treadle feed bard FILES" in shown
    assert "training.batch_size" not in shown
    assert "conf/size/nano.yaml" in run("show", "bard", "--origins")
    assert "is in the trash" in run("delete", "bard")


def test_the_journey_reads_well(lab, tmp_path):
    lab("new", "bard", "--size", "nano", "--tokenizer", "char", *SHAPE)
    (tmp_path / "x.png").write_bytes(b"\x89PNG")
    fed = lab("feed", "bard", tmp_path / "a.txt", tmp_path / "x.png")
    assert "1 document read (30.0 kB), 1 refused" in fed
    assert "It is a picture." in " ".join(fed.split())
    trained = lab("train", "bard", "--steps", 20, "training.evaluate_every=10", "training.sample_every=10")
    assert "Done at step 20: held out" in trained
    assert "Next: treadle sample bard" in trained
    measured = lab("evaluate", "bard")
    assert [line.split()[0] for line in measured.splitlines()[1:]] == ["loss", "perplexity", "bits/byte"]
    shown = lab("show", "bard")
    assert "(1 unknown_format)" in shown
    assert "trained + " in shown
    assert "checkpoint" in shown
    sample = lab("sample", "bard", "--prompt", "ROMEO:", "--tokens", 5)
    assert sample.startswith("ROMEO:")
    assert " at step " in lab("list")
    lab("train", "bard", "--steps", 20)
    assert "1 known already" in lab("feed", "bard", tmp_path / "a.txt")


def test_settings_are_shown_with_their_origins_and_checked(lab, tmp_path):
    one = lab("config", "show", "--origin", "training.clip", "training.clip=0.5")
    assert one.split()[:4] == ["training.clip", "0.5", "command", "line"]
    assert "largest global gradient norm" in one
    assert len(lab("config", "show").splitlines()) > 40
    assert lab("config", "check") == "All files of settings are right.\n"
    (tmp_path / "lab" / "treadle.yaml").write_text("format: 1\nsettings:\n  training:\n    clipp: 1\n")
    found = lab("config", "check", code=1)
    assert "treadle.yaml:4" in found
    assert "training.clip" in found
    assert "1 finding" in found


def test_the_doctor_says_what_is_here(run):
    shown = run("doctor")
    assert "native core" in shown
    assert "Everything that the core needs is here." in shown


def test_help_shows_verbs_in_the_order_of_a_first_hour(run):
    shown = run("--help")
    places = [shown.index(f"\n  {verb} ") for verb in ("init", "new", "feed", "train", "sample", "evaluate", "show")]
    assert places == sorted(places)
    assert "treadle config" in run("config", "--help")
    assert "treadle, version" in run("--version")


@pytest.mark.parametrize(
    "entry", [entry for entry in operations().values() if _needs_arguments(entry)], ids=lambda entry: entry.name
)
def test_a_missing_argument_is_named_with_the_help(run, entry):
    words = entry.name.split(".")
    missing = next(parameter for parameter in entry.parameters() if parameter.required)
    said = run(*words, code=2)
    assert (missing.name.upper().removesuffix("S") if missing.positional else f"--{missing.name}") in said
    assert f"`treadle {' '.join(words)} --help`" in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("word", "meant"), [("rm", "delete"), ("run", "sample"), ("generate", "sample"), ("ls", "list"), ("help", "--help")]
)
def test_the_words_of_other_programs_lead_to_ours(run, word, meant):
    assert f"Did you mean `{meant}`?" in run(word, code=2)


def test_help_marks_what_is_optional_and_starts_no_enumeration_with_a_capital(run):
    assert "[FOLDER]" in run("init", "--help")
    assert " MODEL [KEY=VALUE]..." in run("sample", "--help")
    shown = " ".join(run("sample", "--help").split())
    assert "Checkpoint: best, latest, or a step number" in shown
    assert "Auto, bytes, char, bpe:SIZE" in " ".join(run("new", "--help").split())
    assert "an error is {ok: false, error, kind, exit_code}" in shown


def test_settings_stand_in_columns_with_short_paths(lab):
    lab("new", "bard", "--size", "nano")
    lines = lab("config", "show", "--model", "bard").splitlines()
    assert any(line.endswith("built-in") for line in lines)
    assert not any("/lab/models" in line for line in lines)


def test_an_unknown_verb_of_a_noun_is_answered_with_the_nearest(run):
    assert "Did you mean `show`?" in run("config", "shwo", code=2)


def test_a_damaged_card_is_listed_beside_the_others(lab, tmp_path):
    lab("new", "good", "--size", "nano")
    lab("new", "bad", "--size", "nano")
    (tmp_path / "lab" / "models" / "bad" / "model.yaml").write_text("name: [")
    shown = lab("list")
    assert "good" in shown
    assert "model.yaml is not a model card" in " ".join(shown.split())


def test_the_package_is_the_command_too(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["treadle", "--version"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("treadle", run_name="__main__")
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("treadle, version ")
