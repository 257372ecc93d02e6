"""Bad input: one clear message, a non-zero exit, no traceback, nothing half-written."""

import json
import os

import pytest


def everything_under(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.name.startswith("."))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trian", "bard"], "Did you mean `train`?"),
        (["new", "x", "--size", "smal"], "Did you mean `small`?"),
        (["new", "x", "--tokenizer", "bpee"], "Known: auto, bpe, bytes, char"),
        (["new", "x", "--family", "gtp"], "Did you mean `gpt`?"),
        (["new", "x", "trainng.seed=1"], "trainng.seed"),
        (["new", "x", "training.sed=1"], "Did you mean `training.seed`?"),
        (["new", "x", "training.batch_size=0"], "training.batch_size"),
        (["new", "x", "training.batch_size=many"], "training.batch_size"),
        (["new", "x", "training.batch_size"], "key=value"),
        (["new", "a b"], "cannot be the name"),
        (["new", "a/b"], "cannot be the name"),
        (["new", ".."], "cannot be the name"),
        (["new", "x" * 300], "cannot be the name"),
        (["new", "🦉"], "cannot be the name"),
        (["show", "nobody"], "treadle new nobody"),
        (["show", "../../etc"], "Unknown model"),
        (["config", "show", "--origin", "training.sede"], "Did you mean `training.seed`?"),
        (["list", "--workspace", "/nowhere"], "treadle init"),
        (["init", "."], "workspace already"),
    ],
)
def test_a_wrong_request_is_answered_with_the_remedy(shell, arguments, said):
    before = everything_under(shell.folder)
    assert said in shell.refused(*arguments)
    assert everything_under(shell.folder) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--steps", "0"], "--steps must be greater than 0"),
        (["--steps", "-5"], "--steps must be greater than 0"),
        (["--minutes", "nan"], "--minutes must be greater than 0"),
        (["--steps", "3", "--epochs", "1"], "Give one length"),
        (["--config", "none.yaml"], "none.yaml"),
        (["trainng.learning_rate=1"], "trainng.learning_rate"),
    ],
)
def test_a_training_that_cannot_be_is_refused_before_it_begins(fed, arguments, said):
    assert said in fed.refused("train", "bard", *arguments)
    assert len(list((fed.folder / "runs").glob("r-*"))) == 1, "only the feed has run"


def test_out_of_order_requests_are_answered_with_the_next_step(shell, text):
    shell.run("new", "bard", "--size", "nano")
    assert "treadle feed bard" in shell.refused("train", "bard", "--steps", 5, code=1)
    assert "treadle train" in shell.refused("sample", "bard", code=1)
    shell.run("feed", "bard", text)
    assert "treadle train" in shell.refused("evaluate", "bard", code=1)


def test_files_that_cannot_be_read_are_refused_with_their_reasons(shell, tmp_path):
    shell.run("new", "bard", "--size", "nano")
    folder = tmp_path / "things"
    folder.mkdir()
    (folder / "empty.txt").write_bytes(b"")
    (folder / "binary.txt").write_bytes(bytes(range(256)) * 40)
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n")
    (folder / "broken.zip").write_bytes(b"PK\x03\x04 and no more")
    os.mkfifo(folder / "pipe.txt")
    done = shell.run("feed", "bard", folder, tmp_path / "missing.txt", code=1)
    assert done.stdout.startswith("Nothing was taken.")
    (folder / "latin.txt").write_bytes(
        "Já é noite em São Paulo, e ninguém dorme; é o coração.\n".encode("latin-1") * 20
    )
    report = shell.json("feed", "bard", folder, tmp_path / "missing.txt")
    assert report["accepted"] == 1
    reasons = {os.path.basename(row["source"]): row["reason"] for row in report["refused"]}  # noqa: PTH119
    assert reasons["empty.txt"] == "empty"
    assert reasons["binary.txt"] == "binary"
    assert reasons["picture.png"] == "unknown_format"
    assert reasons["broken.zip"] == "damaged"
    assert reasons["pipe.txt"] == "unreadable"
    assert reasons["missing.txt"] == "missing"


def test_a_huge_single_line_is_read(shell, tmp_path):
    shell.run("new", "bard", "--size", "nano")
    (tmp_path / "line.txt").write_text("all work and no play " * 1_000_000)
    report = shell.json("feed", "bard", tmp_path / "line.txt")
    assert (report["accepted"], report["bytes"]) == (1, 21_000_000)


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (["--tokens", "0"], "generation.tokens", 2),
        (["--temperature", "-1"], "generation.temperature", 2),
        (["--top-p", "0"], "generation.top_p", 2),
        (["--engine", "warp"], "warp", 2),
        (["--checkpoint", "77"], "Known steps: ", 2),
        (["--checkpoint", "newest"], "Use latest, best or a step", 2),
        (["--prompt", "Schönes Wetter"], "'ö'", 1),
    ],
)
def test_a_sample_that_cannot_be_is_refused(trained, arguments, said, code):
    assert said in trained.refused("sample", "bard", *arguments, code=code)


def test_unknown_characters_of_a_prompt_can_be_left_out(trained):
    sample = trained.json("sample", "bard", "--prompt", "Hö", "--unknown", "skip", "--tokens", 3)
    assert len(sample["prompt_ids"]) == 1


def newest_checkpoint(shell):
    return max((shell.folder / "models" / "bard" / "checkpoints").glob("step-*"), key=lambda path: path.name)


def test_a_damaged_checkpoint_is_named_and_never_used(trained):
    weights = newest_checkpoint(trained) / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(content)
    message = trained.refused("sample", "bard", "--checkpoint", "latest", code=1)
    assert "wrong hash" in message
    assert "model.safetensors" in message
    weights.write_bytes(content[:-100])
    assert "it is cut" in trained.refused("sample", "bard", "--checkpoint", "latest", code=1)


def test_a_checkpoint_whose_document_was_edited_is_refused(trained):
    path = newest_checkpoint(trained) / "checkpoint.json"
    document = json.loads(path.read_text())
    document["config"]["heads"] = 1
    path.write_text(json.dumps(document))
    assert "changed or damaged" in trained.refused("sample", "bard", "--checkpoint", "latest", code=1)


def test_a_full_disk_is_named_and_nothing_is_half_written(shell, text, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    if os.geteuid() != 0 or os.system(f"mount -t tmpfs -o size=800k tmpfs {small} 2>/dev/null") != 0:  # noqa: S605
        pytest.skip("needs the right to mount a small tmpfs")
    try:
        shell.run("init", small / "lab")
        shell.run("new", "bard", "--size", "nano", "--workspace", small / "lab")
        (tmp_path / "big.txt").write_text(text.read_text() * 20)
        message = shell.refused("feed", "bard", tmp_path / "big.txt", "--workspace", small / "lab", code=1)
        assert "No space left" in message
        assert shell.json("show", "bard", "--workspace", small / "lab")["documents"]["accepted"] == 0
    finally:
        os.system(f"umount -l {small}")  # noqa: S605 - the worker in the background may still look at it
