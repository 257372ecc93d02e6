"""Tokenizers through the installed command: learned, looked into, compared, and used from `new` to `evaluate`."""

import json
import math

import pytest

TINY = ("--size", "nano", "family.layers=2", "family.width=32", "family.heads=2", "data.sequence_length=32",
        "training.batch_size=4")  # fmt: skip
TRAIN = ("--steps", "40", "training.evaluate_every=20", "training.checkpoint_every=20", "training.sample_every=20")


def test_from_feeding_to_evaluation_with_byte_pairs(shell, text):
    shell.run("new", "bard", *TINY, "--tokenizer", "bpe:512")
    shell.run("feed", "bard", text)
    trained = shell.json("train", "bard", *TRAIN)
    assert trained["step"] == 40
    shown = shell.json("show", "bard")
    assert shown["vocabulary"] == 512
    assert shown["settings"]["data.tokenizer"]["value"] == "bpe:512"
    assert shown["tokens"]["in"] == sum(shown["tokens"][key] for key in ("trained_once", "buffered", "held_out"))
    measured = shell.json("evaluate", "bard")
    held_out = text.read_bytes()[-round(text.stat().st_size * 0.1) :]
    assert measured["bits_per_byte"] == pytest.approx(
        measured["loss"] * measured["targets"] / math.log(2) / len(held_out), rel=1e-6
    )
    assert measured["loss"] < 0.95 * math.log(512)
    log = shell.folder / "runs" / trained["run"] / "events.jsonl"
    samples = [event for event in map(json.loads, log.read_text().splitlines()) if event["type"] == "sample"]
    assert len(samples) == 2
    assert all(0 <= sample["real_words"] <= 1 for sample in samples)
    seen = samples[-1]
    command = ("sample", "bard", "--checkpoint", seen["step"], "--tokens", len(seen["ids"]), "--seed", seen["seed"])
    later = shell.json(*command, "--temperature", seen["temperature"])
    assert (later["ids"], later["text"]) == (seen["ids"], seen["text"])
    prompt = "ünïcode 👩 日本"
    answer = shell.json("sample", "bard", "--prompt", prompt, "--tokens", "60", "--seed", "4")
    assert len(answer["ids"]) == 60
    shown = shell.run("sample", "bard", "--prompt", prompt, "--tokens", "60", "--seed", "4").stdout
    assert shown == prompt + answer["text"] + "\n"


def test_training_goes_on_with_the_vocabulary_that_the_first_one_fixed(shell, text, tmp_path):
    shell.run("new", "bard", *TINY)
    shell.run("feed", "bard", text)
    shell.run("train", "bard", "--steps", "3", "data.tokenizer=bpe:300")
    before = shell.json("tokenizer", "inspect", "bard")["sha256"]
    other = tmp_path / "other.txt"
    other.write_text("never seen before \u65e5\u672c " * 500)
    shell.run("feed", "bard", other)
    assert "cannot change" in shell.refused("train", "bard", "--steps", "6", "data.tokenizer=bpe:512")
    assert shell.json("train", "bard", "--steps", "6")["step"] == 6
    document = json.loads(next(shell.folder.glob("models/m-*/checkpoints/step-00000006/checkpoint.json")).read_text())
    assert document["tokenizer"]["sha256"] == before
    report = shell.json("tokenizer", "compare", "bard", "bytes")
    ours, bytewise = report["tokenizers"]
    assert ours["tokens"] < bytewise["tokens"] == sum(row["bytes"] for row in report["texts"])
    assert bytewise["tokens"] < 0.2 * (text.stat().st_size + other.stat().st_size), "only what is held out"


def test_a_tokenizer_is_learned_looked_into_and_given_to_a_model(shell, text, tmp_path):
    file = tmp_path / "own tokenizer.json"
    learned = shell.json("tokenizer", "train", text, "--vocabulary", "400", "--out", file)
    assert (learned["kind"], learned["vocabulary"], learned["documents"]) == ("bpe", 400, 1)
    assert "exists already" in shell.refused("tokenizer", "train", text, "--out", file)
    looked = shell.json("tokenizer", "inspect", file, "--text", "Hear me speak, 日!")
    assert looked["sha256"] == learned["sha256"]
    assert looked["specials"] == {"<|endoftext|>": 399}
    assert bytes.fromhex("".join(piece["bytes"] for piece in looked["pieces"])).decode() == "Hear me speak, 日!"
    assert r"\xe6" in shell.run("tokenizer", "inspect", file, "--text", "日").stdout
    shell.run("new", "bard", *TINY, "--tokenizer", file)
    shell.run("feed", "bard", text)
    assert "no vocabulary yet" in shell.refused("tokenizer", "inspect", "bard", code=1)
    shell.run("train", "bard", "--steps", "3")
    assert shell.json("tokenizer", "inspect", "bard")["sha256"] == learned["sha256"]
    file.unlink()
    assert shell.json("train", "bard", "--steps", "5")["step"] == 5


def test_tokenizers_are_compared_file_by_file(shell, text, tmp_path):
    shell.run("tokenizer", "train", text, "--vocabulary", "600", "--out", tmp_path / "en.json")
    shell.run("tokenizer", "train", text, "--kind", "char", "--out", tmp_path / "char.json")
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "en.txt").write_text("to be or not to be, that is the question\n" * 20)
    (texts / "el.txt").write_text("\u03bd\u03b1 \u03b6\u03b5\u03b9 \u03ba\u03b1\u03bd\u03b5\u03af\u03c2\n" * 20)
    (texts / "bad.bin").write_bytes(b"\0\1\2\xff" * 50)
    names = ("bytes", tmp_path / "en.json", tmp_path / "char.json")
    report = shell.json("tokenizer", "compare", *names, texts)
    by_name = {row["name"]: row for row in report["tokenizers"]}
    pairs, characters = by_name[str(tmp_path / "en.json")], by_name[str(tmp_path / "char.json")]
    assert by_name["bytes"]["bytes_per_token"] == 1
    assert pairs["unknown"] == 0 < characters["unknown"]
    assert all(row["megabytes_per_second"] > 0 for row in report["tokenizers"])
    rows = {row["source"].rpartition("/")[2]: row["figures"][str(tmp_path / "en.json")] for row in report["texts"]}
    assert rows["en.txt"]["bytes_per_token"] > 2 > rows["el.txt"]["bytes_per_token"]
    assert len(report["refused"]) == 1
    shown = shell.run("tokenizer", "compare", *names, texts).stdout
    assert max(len(line) for line in shown.splitlines() if ".bin" not in line) <= 90
    assert "no text" in shell.refused("tokenizer", "compare", "bytes")
    assert "at least one tokenizer" in shell.refused("tokenizer", "compare", texts)


def test_a_wrong_choice_is_refused_when_the_model_is_made(shell, tmp_path):
    assert "Did you mean `bytes`" in shell.refused("new", "x", "--tokenizer", "byte")
    assert "258 to" in shell.refused("new", "x", "--tokenizer", "bpe:100")
    assert "There is no tokenizer at" in shell.refused("new", "x", "--tokenizer", tmp_path / "absent.json")
    (tmp_path / "wrong.json").write_text('{"a": 1}')
    assert "holds no tokenizer" in shell.refused("new", "x", "--tokenizer", tmp_path / "wrong.json", code=1)
    assert shell.json("list")["models"] == []
