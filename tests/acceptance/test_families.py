"""Second families through the installed command: a recurrent model, an image classifier, and pictures of them."""

import gzip
import json

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("PIL")
pytest.importorskip("matplotlib")

from PIL import Image

from treadle.data.bundled.texts import bundled_files

PNG = b"\x89PNG\r\n\x1a\n"


def is_picture(path):
    return path.read_bytes().startswith(PNG) and path.stat().st_size > 5_000


def test_a_classifier_of_digits_from_feeding_to_prediction(shell):
    shell.run("new", "digits", "--family", "image_classifier", "--size", "nano")
    fed = shell.json("feed", "digits", "bundled:digits")
    assert (fed["accepted"], fed["refused"]) == (1, [])
    trained = shell.json("train", "digits", "--steps", "100", "training.evaluate_every=50", "training.threads=1")
    assert (trained["outcome"], trained["next_step"]) == ("done", "treadle predict digits FILES")
    picture = shell.folder / "confusion.png"
    measured = shell.json("evaluate", "digits", "--plot", picture)
    assert measured["targets"] == 180
    assert measured["accuracy"] > 0.85
    assert measured["accuracy"] == pytest.approx(trained["accuracy"]) == measured["correct"] / 180
    assert sum(map(sum, measured["confusion"])) == 180
    assert sum(row["correct"] for row in measured["per_class"]) == measured["correct"]
    assert is_picture(picture)
    predicts_what_evaluation_counted(shell, measured)
    refuses_what_is_no_picture(shell)
    shows_itself(shell)


def predicts_what_evaluation_counted(shell, measured):
    """The held-out digits, as files, are classified as the evaluation says."""
    images, labels = (gzip.decompress(path.read_bytes()) for path in bundled_files("bundled:digits"))
    pixels = np.frombuffer(images[16:], np.uint8).reshape(-1, 8, 8)[-180:]
    files = [shell.folder / f"{number}.png" for number in range(180)]
    for file, one in zip(files, pixels, strict=True):
        Image.fromarray(one).save(file)
    found = shell.json("predict", "digits", *files)
    guesses = [row["class"] for row in found["predictions"]]
    right = sum(guess == str(label) for guess, label in zip(guesses, labels[-180:], strict=True))
    assert right == measured["correct"]
    for row in found["predictions"]:
        assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert row["probability"] == max(row["probabilities"].values())


def refuses_what_is_no_picture(shell):
    (shell.folder / "bad.png").write_text("no picture")
    done = shell.run("predict", "digits", "bad.png", "0.png", "--json", code=1)
    answer = json.loads(done.stdout)
    assert [row["reason"] for row in answer["refused"]] == ["damaged"]
    assert len(answer["predictions"]) == 1
    assert "treadle predict" in shell.refused("sample", "digits")
    (shell.folder / "notes.txt").write_text("to be or not to be")
    assert shell.json("feed", "digits", "notes.txt", code=1)["refused"][0]["reason"] == "unknown_format"


def shows_itself(shell):
    text = shell.run("show", "digits", "--plot", "curve.png").stdout
    assert "nats/picture" in text
    assert "pictures    in 1,797 = 1,617 trained" in text
    assert is_picture(shell.folder / "curve.png")
    assert "must end in" in shell.refused("show", "digits", "--plot", "curve.jpeg2000")


def test_a_recurrent_model_writes_and_is_looked_into(shell, text):
    shell.run("new", "echo", "--family", "rnn", "--size", "nano", "--tokenizer", "char", "family.width=64")
    shell.run("feed", "echo", text)
    options = ("training.precision=fp32", "training.sample_every=0", "data.sequence_length=32", "training.threads=1")
    trained = shell.json("train", "echo", "--steps", "60", *options)
    assert trained["held_out"] < 3.0
    first = shell.json("sample", "echo", "--tokens", "60", "--seed", "3", "--prompt", "ROMEO:")
    assert shell.json("sample", "echo", "--tokens", "60", "--seed", "3", "--prompt", "ROMEO:")["ids"] == first["ids"]
    assert len(first["ids"]) == 60 > 32, "longer than the window"
    looked = shell.json("inspect", "echo", "--text", "ROMEO: speak", "--plot", "text.png")
    assert [token["text"] for token in looked["tokens"]] == list("ROMEO: speak")
    mean = sum(token["loss"] for token in looked["tokens"]) / 12
    assert looked["loss"] == pytest.approx(mean)
    assert all((token["rank"] == 1) == (token["likeliest"] == token["text"]) for token in looked["tokens"])
    assert is_picture(shell.folder / "text.png")
    assert "no attention" in shell.refused("inspect", "echo", "--text", "a", "--attention", "a.png")
    assert "at a time" in shell.refused("inspect", "echo", "--text", "a" * 65)


def test_growth_and_limits_through_the_command(fed):
    fed.run("train", "bard", "--steps", "30", "training.sample_every=0")
    before = fed.json("evaluate", "bard")["loss"]
    grown = fed.json("set", "bard", "family.layers=+2", "training.batch_size=6")
    assert (grown["grown"]["from"], grown["grown"]["to"]) == (2, 4)
    assert fed.json("evaluate", "bard", "--checkpoint", "latest")["loss"] == pytest.approx(before, abs=2e-3)
    assert "Layers are added without loss" in fed.refused("set", "bard", "family.layers=2")
    assert "family.layers=4" in fed.run("show", "bard", "--limits").stdout
    assert fed.json("train", "bard", "--steps", "40", "training.sample_every=0")["step"] == 40
    looked = fed.json("inspect", "bard", "--text", "ROMEO", "--attention", "heads.png", "--checkpoint", "latest")
    assert looked["precision"] == "fp32"
    assert is_picture(fed.folder / "heads.png")
