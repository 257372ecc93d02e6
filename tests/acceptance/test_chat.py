"""Chat through the command: line by line, with messages, and on a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import sys
import time
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).parent / "treadle"
QUICK = ("training.sample_every=0", "training.evaluate_every=0")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A workspace with a model that was trained for a moment, and its `sample`."""
    from treadle.data.bundled.texts import bundled_text
    from treadle.operations.api import Workspace

    workspace = Workspace.create(tmp_path_factory.mktemp("chat") / "lab")
    text = workspace.root.parent / "play.txt"
    text.write_text(bundled_text("shakespeare").read_text(encoding="utf-8")[:60_000], encoding="utf-8")
    tiny = ["family.layers=1", "family.width=32", "family.heads=2", "data.sequence_length=32", "training.batch_size=4"]
    workspace.new("bard", tiny, size="nano", tokenizer="char")
    workspace.feed("bard", text)
    workspace.train("bard", overrides=list(QUICK), steps=12)
    return workspace


@pytest.fixture
def chatting(trained, shell, monkeypatch):
    monkeypatch.setenv("TREADLE_WORKSPACE", str(trained.root))
    return shell


def test_each_answer_is_what_sample_writes_after_the_same_text(chatting, tmp_path):
    saved = tmp_path / "said.txt"
    typed = f"ROMEO:\n/seed 9\nWhat \\\nnow?\n/temperature 0.5\n/retry\n/save {saved}\n"
    done = chatting.run("chat", "bard", "--tokens", "50", "--seed", "3", input=typed)
    flags = ("--tokens", "50", "--json")
    first = chatting.json("sample", "bard", "--prompt", "ROMEO:", "--seed", "3", *flags)["text"]
    before = f"ROMEO:{first}" + ("" if first.endswith("\n") else "\n") + "What \nnow?"
    second = chatting.json("sample", "bard", "--prompt", before, "--seed", "9", *flags)["text"]
    again = chatting.json("sample", "bard", "--prompt", before, "--seed", "9", "--temperature", "0.5", *flags)["text"]
    answers = [text if text.endswith("\n") else text + "\n" for text in (first, second, again)]
    assert done.stdout == "".join(answers)
    assert second != again
    assert saved.read_text() == before + again
    assert "temperature 0.5" in done.stderr


def test_what_is_wrong_is_said_and_the_next_line_is_answered(chatting):
    wrong = "/foo\n/temperature hot\n/tokens 0\n/top-k -1\n/retry\n/save\n€\nROMEO:\n"
    done = chatting.run("chat", "bard", "--tokens", "5", "--seed", "1", input=wrong, code=1)
    said = done.stderr.splitlines()
    assert len(said) == 7, said
    assert said[0] == "There is no command `/foo`. /help lists them."
    assert said[1].startswith("/temperature: input should be a valid number")
    assert "no answer yet" in said[4]
    assert "lacks 1 characters" in said[6]
    sample = chatting.run("sample", "bard", "--prompt", "ROMEO:", "--tokens", "5", "--seed", "1")
    assert "ROMEO:" + done.stdout.rstrip("\n") == sample.stdout.rstrip("\n")
    listed = chatting.run("chat", "bard", input="/help\n/settings\n/quit\nnot read\n")
    assert listed.stdout == ""
    for word in ("/reset", "/save FILE", "/top-p VALUE", "repetition-penalty 1.0"):
        assert word in listed.stderr


def test_messages_on_the_command_line_give_one_answer_for_machines_and_for_python(chatting, trained):
    flags = ("--tokens", "20", "--seed", "4", "--logit-bias", "e=-100")
    done = chatting.json("chat", "bard", *flags, "--message", "ROMEO:", "--message", "/reset", "--message", "JULIET:")
    assert [turn["prompt"] for turn in done["turns"]] == ["ROMEO:", "JULIET:"]
    assert "e" not in done["turns"][0]["text"]
    assert done["text"] == "JULIET:" + done["turns"][1]["text"]
    said = trained.chat("bard", message=["ROMEO:", "/reset", "JULIET:"], logit_bias=["e=-100"], tokens=20, seed=4)
    assert said["turns"] == done["turns"]
    piped = chatting.run("chat", "bard", "--json", *flags, input="ROMEO:\n/reset\nJULIET:\n")
    assert json.loads(piped.stdout) == done


def test_log_probabilities_and_biases_are_told_and_obeyed(chatting):
    flags = ("--prompt", "The ", "--tokens", "6", "--temperature", "0", "--json")
    plain = chatting.json("sample", "bard", *flags, "--logprobs", "2")
    assert [one["token"] for one in plain["logprobs"]] == list(plain["text"])
    for one in plain["logprobs"]:
        assert one["logprob"] == one["top"][0]["logprob"] >= one["top"][1]["logprob"]
        assert one["id"] == one["top"][0]["id"]
    other = plain["logprobs"][0]["top"][1]["id"]
    pushed = chatting.json("sample", "bard", *flags, "--logit-bias", f"#{other}=50")
    assert set(pushed["ids"]) == {other}
    assert pushed["logit_bias"] == {str(other): 50.0}
    assert "logprobs" not in pushed
    shown = chatting.run("sample", "bard", "--prompt", "The ", "--tokens", "2", "--seed", "1", "--logprobs", "1")
    assert len([line for line in shown.stderr.splitlines() if "likeliest: " in line]) == 2
    for bias, words in (
        ("ee=1", "is 2 tokens"),
        ("e", "is no bias"),
        ("e=x", "is no bias"),
        ("#999=1", "ids of this"),
        ("€=1", "lacks"),
    ):
        assert words in chatting.refused("sample", "bard", "--logit-bias", bias)
    assert "it must be 0 to 100" in chatting.refused("sample", "bard", "--logprobs", "101")


class Terminal:
    """The command on a terminal of its own."""

    def __init__(self, command, environment):
        self.process, self.side = pty.fork()
        if self.process == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # what started the tests may have had it ignored
            os.execvpe(command[0], command, environment)  # noqa: S606 - the child half of a fork
        self.shown = ""

    def until(self, text, seconds=20):
        end = time.monotonic() + seconds
        while text not in self.shown:
            ready, _, _ = select.select([self.side], [], [], 0.1)
            if ready:
                self.shown += os.read(self.side, 65536).decode(errors="replace")
            assert time.monotonic() < end, self.shown[-2000:]
        before, _, self.shown = self.shown.partition(text)
        return before

    def type(self, text):
        os.write(self.side, text.encode())


def test_on_a_terminal_an_interrupt_stops_the_answer_and_not_the_chat(chatting, tmp_path):
    state = tmp_path / "state"
    environment = {**os.environ, "XDG_STATE_HOME": str(state), "TERM": "dumb"}
    [boundary] = chatting.json("sample", "bard", "--tokens", "1")["prompt_ids"]
    endless = ("--tokens", "100000000", "--logit-bias", f"#{boundary}=-1000")
    command = [str(COMMAND), "chat", "bard", *endless, "--seed", "2"]
    terminal = Terminal(command, environment)
    assert "continues text" in terminal.until("> ")
    terminal.type("ROMEO:\n")
    terminal.until("ROMEO:")
    time.sleep(0.3)
    terminal.type("\x03")
    written = terminal.until("> ")
    assert len(written) > 100
    time.sleep(0.5)  # Python hears an interrupt at its prompt only once it waits for a key
    terminal.type("\x03")
    terminal.until("/quit ends the chat")
    terminal.until("> ")
    terminal.type(f"/save {tmp_path / 'kept.txt'}\n")
    terminal.until("Saved ")
    terminal.until("> ")
    terminal.type("\x04")
    assert os.waitpid(terminal.process, 0)[1] == 0
    os.close(terminal.side)
    kept = (tmp_path / "kept.txt").read_text()
    shown, kept = (re.sub(r"\s", "", one) for one in (written, kept.removeprefix("ROMEO:")))
    assert shown[:60] == kept[:60]  # a terminal throws away what it had not shown when Ctrl-C came
    history = state / "treadle" / "chat_history"
    assert history.read_text().splitlines()[0] == "ROMEO:"
    assert history.stat().st_mode & 0o077 == 0


def test_four_bits_are_measured_once_on_held_out_text_and_refused_where_they_cost_too_much(chatting, trained):
    flags = ("--prompt", "ROMEO:", "--tokens", "20", "--seed", "1", "--precision", "int4")
    forced = chatting.json("sample", "bard", *flags, "--int4-margin", "100")
    gates = list(trained.root.glob("models/m-*/checkpoints/*/int4-gate.json"))
    assert gates == []
    asked = chatting.json("sample", "bard", *flags, "--int4-margin", "5")
    assert (asked["precision"], asked["text"]) == ("int4", forced["text"])
    [gate] = trained.root.glob("models/m-*/checkpoints/*/int4-gate.json")
    found = json.loads(gate.read_text())
    assert found["targets"] > 1000
    evaluated = chatting.json("evaluate", "bard")["loss"]
    assert found["int8"] == pytest.approx(evaluated, abs=0.05)
    assert abs(found["int4"] - found["int8"]) < 1
    gate.write_text(json.dumps({**found, "int4": found["int8"] + 0.5}))  # it is read, not measured again
    refusal = chatting.refused("sample", "bard", *flags)
    assert "int4 costs this checkpoint 0.500 nats per token" in refusal
    assert "generation.int4_margin=100" in refusal
    assert "int4 costs" in chatting.refused("chat", "bard", *flags[2:], "--message", "hi")
    gate.write_text("{}")
    assert chatting.json("sample", "bard", *flags, "--int4-margin", "5")["text"] == forced["text"]
    assert json.loads(gate.read_text()) == found
    gate.unlink()


def test_training_leaves_packed_weights_beside_its_checkpoints(trained):
    for checkpoint in trained.root.glob("models/m-*/checkpoints/step-*"):
        assert (checkpoint / "packed-int8.bin").stat().st_size > 4096
