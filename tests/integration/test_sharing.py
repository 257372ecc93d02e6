"""Models leave and come in: round trips through every format, and training goes on from what came in."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import treadle
from treadle.base.errors import DataError, NotReadyError, UsageError
from treadle.base.hashing import hash_file
from treadle.data.bundled.texts import bundled_text
from treadle.data.tokenizers.tokenizer import tokenizer_hash, train_tokenizer
from treadle.models.catalog import FAMILIES
from treadle.models.exchange.safetensors_file import write_safetensors
from treadle.models.gpt.config import GPTConfig
from treadle.models.gpt.native_shape import native_shape
from treadle.models.gpt.weights import weight_shapes
from treadle.recipes.opened import open_model
from treadle.recipes.package_file import write_package
from treadle.store.workspace import WorkspaceFolder

PLAY = bundled_text("shakespeare").read_text(encoding="utf-8")[:12_000]
SMALL = {"layers": 2, "width": 32, "heads": 4, "feed_forward": 64}
GPT2 = {"positions": "learned", "norm": "layernorm", "norm_epsilon": 1e-5, "qk_norm": False, "activation": "gelu",
        "bias": True, "tied_embeddings": True}  # fmt: skip
MODELS = {
    "qwen": (GPTConfig(**SMALL, kv_heads=2), "char"),
    "llama": (GPTConfig(**SMALL, qk_norm=False, tied_embeddings=True), "bpe:300"),
    "biased": (GPTConfig(**SMALL, qk_norm=False, bias=True, head_width=16), "bytes"),
    "gpt2": (GPTConfig(**SMALL, **GPT2), "bytes"),
}
"""Shape and tokenizer of each; their weights are random, so that nothing is hidden by zeros or by repetition."""
CONTEXT = 32
UNTRAINED = {"gpt2": 6.0, "qwen": 4.6}
"""Nats per token on the play, a little below what the random weights give."""
TINY = ["family.layers=1", "family.width=32", "family.heads=2", "data.sequence_length=16", "training.batch_size=4",
        "training.sample_every=0", "training.threads=1"]  # fmt: skip


def plant(workspace, folder, name, config, choice):
    """A model with random weights, brought in as a package."""
    generator, tokenizer = np.random.default_rng(5), train_tokenizer(choice, [PLAY])
    shapes = weight_shapes(config, tokenizer.vocabulary_size, CONTEXT)
    weights = {
        key: generator.standard_normal(shape, np.float32) * np.float32(0.2)
        + np.float32(len(shape) == 1 and key.endswith("weight"))
        for key, shape in shapes.items()
    }
    write_safetensors(folder / f"{name}-weights", weights)
    model = {"family": "gpt", "config": config.model_dump(mode="json"), "vocabulary": tokenizer.vocabulary_size,
             "context": CONTEXT, "tokenizer": tokenizer.describe()}  # fmt: skip
    facts = {"step": 7, "epochs": 0.5, "licence": "mit"}
    with (folder / f"{name}.treadle").open("wb") as file:
        write_package(file, {"model": model, "settings": {}, "facts": facts}, "", folder / f"{name}-weights")
    return workspace.import_(folder / f"{name}.treadle", name=name)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A workspace with the models, each exported in every format; nothing here is changed by a test."""
    folder = tmp_path_factory.mktemp("sharing")
    workspace = treadle.Workspace.create(folder / "lab")
    for name, (config, choice) in MODELS.items():
        plant(workspace, folder, name, config, choice)
        for to, ending in (("huggingface", "hf"), ("gguf", "gguf"), ("package", "treadle")):
            precision = "f32" if to == "gguf" else None
            workspace.export(name, to=to, out=folder / f"{name}.out.{ending}", precision=precision)
    return workspace, folder


def checkpoint_of(workspace, name):
    return open_model(WorkspaceFolder(workspace.root), name).checkpoints.find("latest")


def shape_of(checkpoint):
    record = checkpoint.record
    return native_shape(GPTConfig.model_validate(record.config), record.vocabulary, record.context)


def outlets(folder, name):
    return {
        "huggingface": folder / f"{name}.out.hf",
        "gguf": folder / f"{name}.out.gguf" / f"{name}-f32.gguf",
        "package": folder / f"{name}.out.treadle",
    }


def test_every_format_comes_back_with_the_same_weights_and_tokenizer(planted, tmp_path):
    workspace, folder = planted
    other = treadle.Workspace.create(tmp_path / "other")
    for name in MODELS:
        before = checkpoint_of(workspace, name)
        for format_, path in outlets(folder, name).items():
            report = other.import_(path, name=f"{name}-{format_}")
            assert (report.format, report.licence, report.context) == (format_, "mit", CONTEXT)
            after = checkpoint_of(other, report.name)
            assert after.tokenizer_hash == before.tokenizer_hash
            old, new = before.weights(), after.weights()
            assert set(old) == set(new)
            assert all(np.array_equal(old[key], new[key]) for key in old), (name, format_)
            assert shape_of(after) == shape_of(before)


def test_what_came_in_says_so_and_samples_the_same(planted, tmp_path):
    workspace, folder = planted
    other = treadle.Workspace.create(tmp_path / "other")
    other.import_(folder / "llama.out.hf", name="guest")
    asked = {"prompt": "The ", "tokens": 40, "temperature": 0.7, "seed": 3, "precision": "fp32"}
    assert other.sample("guest", **asked)["text"] == workspace.sample("llama", **asked)["text"]
    lineage = checkpoint_of(other, "guest").document["lineage"]["imported"]
    assert (lineage["name"], lineage["format"], lineage["licence"]) == ("llama.out.hf", "huggingface", "mit")
    shown = other.show("guest", lineage=True)
    assert shown.model["imported_from"]["format"] == "huggingface"
    assert other.show("guest").steps == 0


def test_training_goes_on_from_what_came_in(planted, tmp_path):
    _, folder = planted
    other = treadle.Workspace.create(tmp_path / "other")
    (tmp_path / "play.txt").write_text(PLAY)
    for name, format_ in (("gpt2", "gguf"), ("qwen", "package")):
        quick = ["training.batch_size=4", "training.threads=1", "training.sample_every=0"]
        report = other.import_(outlets(folder, name)[format_], quick, name=name)
        other.feed(name, [tmp_path / "play.txt"])
        done = other.train(name, steps=report.step + 5)
        assert done["step"] == report.step + 5
        assert done["held_out"] < UNTRAINED[name]
        newest = checkpoint_of(other, name)
        assert "imported" not in newest.document["lineage"]
        assert newest.document["schedule"]["plan"]["warmup_from"] == report.step
        assert other.copy(name, f"{name}-2").name == f"{name}-2"


def test_nanogpt_comes_in_with_its_characters(planted, tmp_path):
    torch = pytest.importorskip("torch", reason="the extra `torch` is not installed")
    import pickle

    workspace, _ = planted
    source = checkpoint_of(workspace, "gpt2").weights()
    parts = {"attention_norm": "ln_1", "attention.output": "attn.c_proj", "feed_forward_norm": "ln_2",
             "feed_forward.up": "mlp.c_fc", "feed_forward.down": "mlp.c_proj"}  # fmt: skip
    characters = "\n !" + "".join(map(chr, range(97, 123)))
    state = {"transformer.wte.weight": source["embedding.weight"][: len(characters)]}
    state |= {"transformer.wpe.weight": source["position.weight"], "lm_head.weight": state["transformer.wte.weight"]}
    for last in ("weight", "bias"):
        state[f"transformer.ln_f.{last}"] = source[f"norm.{last}"]
        for layer in range(2):
            fused = [source[f"layers.{layer}.attention.{part}.{last}"] for part in ("query", "key", "value")]
            state[f"transformer.h.{layer}.attn.c_attn.{last}"] = np.concatenate(fused)
            for ours, theirs in parts.items():
                state[f"transformer.h.{layer}.{theirs}.{last}"] = source[f"layers.{layer}.{ours}.{last}"]
    arguments = {"n_layer": 2, "n_head": 4, "n_embd": 32, "block_size": 32, "bias": True, "vocab_size": 29}
    state["transformer.h.0.mlp.c_fc.weight"] = np.zeros((128, 32), np.float32)
    for layer in range(2):  # nanoGPT's feed-forward is four times as wide as its model
        state[f"transformer.h.{layer}.mlp.c_fc.weight"] = np.ones((128, 32), np.float32)
        state[f"transformer.h.{layer}.mlp.c_fc.bias"] = np.ones(128, np.float32)
        state[f"transformer.h.{layer}.mlp.c_proj.weight"] = np.ones((32, 128), np.float32)
    (tmp_path / "out").mkdir()
    tensors = {f"_orig_mod.{key}": torch.tensor(array) for key, array in state.items()}
    torch.save({"model": tensors, "model_args": arguments, "iter_num": 20}, tmp_path / "out" / "ckpt.pt")
    other = treadle.Workspace.create(tmp_path / "other")
    with pytest.raises(DataError, match="does not hold its tokenizer"):
        other.import_(tmp_path / "out", name="karpathy")
    table = {one: id_ for id_, one in enumerate(reversed(characters))}
    (tmp_path / "out" / "meta.pkl").write_bytes(pickle.dumps({"vocab_size": 29, "stoi": table, "itos": {}}))
    report = other.import_(tmp_path / "out", name="karpathy")
    assert (report.format, report.tokenizer, report.vocabulary) == ("nanogpt", "char", 30)
    assert any("exact GELU" in note for note in report.notes)
    assert any("20 steps" in note for note in report.notes)
    rows = checkpoint_of(other, "karpathy").weights()["embedding.weight"]
    place = 1 + sorted(characters).index("q")
    assert np.array_equal(rows[place], source["embedding.weight"][table["q"]])
    assert other.sample("karpathy", prompt="queen", tokens=5, seed=1)["text"] != ""


def test_rows_that_no_token_names_are_left_out_and_a_boundary_is_added(planted, tmp_path):
    _, folder = planted
    shutil.copytree(folder / "llama.out.hf", tmp_path / "padded")
    (tmp_path / "padded" / "treadle_tokenizer.json").unlink()
    stated = json.loads((tmp_path / "padded" / "config.json").read_text())
    from safetensors.numpy import load_file, save_file

    arrays = load_file(tmp_path / "padded" / "model.safetensors")
    rows = arrays["model.embed_tokens.weight"]
    arrays["model.embed_tokens.weight"] = np.concatenate([rows, np.full((20, 32), 9, np.float32)])
    save_file(arrays, tmp_path / "padded" / "model.safetensors")
    (tmp_path / "padded" / "config.json").write_text(json.dumps({**stated, "vocab_size": stated["vocab_size"] + 20}))
    other = treadle.Workspace.create(tmp_path / "other")
    report = other.import_(tmp_path / "padded", name="padded")
    assert report.vocabulary == stated["vocab_size"]
    assert "20 rows" in report.notes[0]
    definition = json.loads((tmp_path / "padded" / "tokenizer.json").read_text())
    without = {**definition, "added_tokens": []}
    (tmp_path / "padded" / "tokenizer.json").write_text(json.dumps(without))
    arrays["model.embed_tokens.weight"] = rows[:-1]
    save_file(arrays, tmp_path / "padded" / "model.safetensors")
    (tmp_path / "padded" / "config.json").write_text(json.dumps({**stated, "vocab_size": stated["vocab_size"] - 1}))
    report = other.import_(tmp_path / "padded", name="short")
    assert "no id between documents" in report.notes[0]
    made = checkpoint_of(other, "short").weights()["embedding.weight"]
    assert np.allclose(made[-1], rows[:-1].mean(axis=0), atol=1e-6)


def test_positions_can_be_left_out(planted, tmp_path):
    _, folder = planted
    other = treadle.Workspace.create(tmp_path / "other")
    report = other.import_(folder / "gpt2.out.hf", name="short", context=12)
    assert report.context == 12
    assert "made for 32 positions and reads 12" in report.notes[-1]
    assert checkpoint_of(other, "short").weights()["position.weight"].shape == (12, 32)
    with pytest.raises(UsageError, match="2 to 32"):
        other.import_(folder / "gpt2.out.hf", name="long", context=33)


def nothing_left(workspace):
    models = workspace.root / "models"
    return workspace.list().models == [] and not [path for path in models.glob("*") if path.name != ".lock"]


def test_what_is_refused_leaves_nothing_behind(planted, tmp_path):
    _, folder = planted
    other = treadle.Workspace.create(tmp_path / "other")
    data = (folder / "qwen.out.treadle").read_bytes()
    (tmp_path / "cut.treadle").write_bytes(data[: len(data) // 2])
    (tmp_path / "odd.bin").write_bytes(b"what is this")
    bad = tmp_path / "bad"
    shutil.copytree(folder / "qwen.out.hf", bad)
    (bad / "config.json").write_text(
        (bad / "config.json").read_text().replace('"hidden_size": 32', '"hidden_size": 64')
    )
    shutil.copytree(folder / "qwen.out.hf", tmp_path / "odd-facts")
    (tmp_path / "odd-facts" / "treadle.json").write_text('{"metrics": {"loss": NaN}}')
    kept = outlets(folder, "qwen")["gguf"].read_bytes()
    (tmp_path / "odd.gguf").write_bytes(kept.replace(b'"family": "gpt"', b'"family": "gpt:'))
    (tmp_path / "empty.gguf").touch()
    document = data.replace(b'"epochs": 0.5', b'"epochs": NaN')
    assert document != data
    (tmp_path / "nan.treadle").write_bytes(document)
    for path, reason in (
        (tmp_path / "odd-facts", "cannot be kept"),
        (tmp_path / "odd.gguf", "not JSON"),
        (tmp_path / "empty.gguf", "is empty"),
        (tmp_path / "nan.treadle", "cut or damaged"),
        (tmp_path / "cut.treadle", "cut or damaged"),
        (tmp_path / "odd.bin", "no model that is known here"),
        (tmp_path / "none", "nothing at"),
        (bad, "does not fit"),
        (folder / "qwen.out.hf" / "config.json", "Name the folder"),
        (folder, "no config.json"),
    ):
        with pytest.raises((DataError, UsageError), match=reason):
            other.import_(path, name="m")
        assert nothing_left(other)
    with pytest.raises(UsageError, match="leave out settings of family"):
        other.import_(folder / "qwen.out.hf", ["family.width=64"], name="m")
    with pytest.raises(UsageError, match="cannot be the name"):
        other.import_(folder / "qwen.out.hf", name="../m")
    with pytest.raises(UsageError, match="leave out --tokenizer"):
        other.import_(folder / "qwen.out.treadle", name="m", tokenizer=folder / "qwen.out.hf" / "tokenizer.json")
    assert nothing_left(other)


def test_few_bits_are_measured_before_they_are_written(planted, tmp_path):
    workspace, _ = planted
    with pytest.raises(NotReadyError, match="nothing is held out"):
        workspace.export("llama", to="gguf", out=tmp_path / "a", precision="q4_0")
    assert not (tmp_path / "a").exists()
    (tmp_path / "play.txt").write_text("the cat sat on the mat and the dog sat on the log\n" * 240)
    lab = treadle.Workspace.create(tmp_path / "lab")
    lab.new("bard", TINY, size="nano", tokenizer="bytes")
    lab.feed("bard", [tmp_path / "play.txt"])
    lab.train("bard", steps=200)  # it knows this text by heart, so every rounding costs
    report = lab.export("bard", to="gguf", out=tmp_path / "q8", precision="q8_0")
    assert abs(report.cost["nats_per_token"]) < 0.02
    assert report.cost["targets"] > 1000
    with pytest.raises(UsageError, match=r"costs the model .* nats per token"):
        lab.export("bard", to="gguf", out=tmp_path / "q4", precision="q4_0", margin=1e-9)
    assert not (tmp_path / "q4").exists()
    forced = lab.export("bard", to="gguf", out=tmp_path / "q4", precision="q4_0", margin=100)
    assert forced.cost is None
    assert forced.kept_wider == ["token_embd.weight", "output.weight"]
    card = (tmp_path / "q8" / "README.md").read_text()
    assert "play.txt" in card
    assert str(tmp_path) not in card
    assert "held_out_loss" in card
    assert (tmp_path / "q8" / "Modelfile").read_text().startswith("FROM ./bard-q8_0.gguf\n")
    exact, rounded = lab.evaluate("bard")["loss"], lab.evaluate("bard", precision="int8")
    assert rounded["precision"] == "int8"
    assert abs(rounded["loss"] - rounded["cost"] - exact) < 0.01
    assert rounded["bits_per_byte"] == pytest.approx(rounded["loss"] / np.log(2))


def test_what_cannot_leave_is_refused_with_the_reason_before_anything_is_written(planted, tmp_path):
    workspace, _ = planted
    lab = treadle.Workspace.create(tmp_path / "lab")
    (tmp_path / "play.txt").write_text(PLAY)
    lab.new("odd", [*TINY, "family.activation=relu2"], size="nano", tokenizer="char")
    lab.feed("odd", [tmp_path / "play.txt"])
    lab.train("odd", steps=2)
    for to in ("huggingface", "gguf"):
        with pytest.raises(UsageError, match="activation=swiglu"):
            lab.export("odd", to=to, out=tmp_path / "out")
        assert not (tmp_path / "out").exists()
    lab.export("odd", to="package", out=tmp_path / "odd.treadle", licence="cc0-1.0")
    back = lab.import_(tmp_path / "odd.treadle", name="back")
    assert (back.step, back.licence) == (2, "cc0-1.0")
    assert lab.show("back").settings["training.batch_size"]["value"] == 4
    with pytest.raises(UsageError, match="exists already"):
        lab.export("odd", to="package", out=tmp_path / "odd.treadle")
    with pytest.raises(UsageError, match="--precision is for"):
        workspace.export("qwen", to="huggingface", out=tmp_path / "out", precision="f16")


def test_other_families_travel_by_package_only(tmp_path):
    lab = treadle.Workspace.create(tmp_path / "lab")
    pictures = {"kind": "labelled_images", "classes": ["a", "b"], "size": 8, "channels": 1}
    clips = {"kind": "clips", "phrases": ["a", "b"], "size": 8, "frames": 8}
    families = (("rnn", 257, {"kind": "bytes"}), ("video_flow", 2, clips), ("image_classifier", 2, pictures))
    for name, vocabulary, codes in families:
        family = FAMILIES.get(name)
        config = family.config_class()(layers=2, width=16)
        shapes = family.weight_shapes(config, vocabulary, 8)
        write_safetensors(tmp_path / name, {key: np.ones(shape, np.float32) for key, shape in shapes.items()})
        model = {"family": name, "config": config.model_dump(mode="json"), "vocabulary": vocabulary, "context": 8,
                 "tokenizer": codes}  # fmt: skip
        with (tmp_path / f"{name}.treadle").open("wb") as file:
            write_package(file, {"model": model, "settings": {}, "facts": {}}, "", tmp_path / name)
        assert lab.import_(tmp_path / f"{name}.treadle", name=name).family == name
        lab.export(name, to="package", out=tmp_path / f"{name}-2.treadle")
        again = lab.import_(tmp_path / f"{name}-2.treadle", name=f"{name}-2")
        assert again.step == 0
        with pytest.raises(UsageError, match=f"family {name}, which other programs do not know"):
            lab.export(name, to="gguf", out=tmp_path / "out")
    (classes,) = (lab.root / "models" / "image_classifier-2" / "tokenizer").iterdir()
    assert json.loads(classes.read_text()) == pictures
    kept = lab.root / "models" / "video_flow-2" / "tokenizer" / "clips.json"
    assert json.loads(kept.read_text()) == clips
    assert again.next_step == "treadle predict image_classifier-2 FILES"


IMPORT = """
import sys
from pathlib import Path
from treadle.operations import sharing
from treadle.store.workspace import WorkspaceFolder
workspace = WorkspaceFolder(Path(sys.argv[1]))
sharing.import_(workspace, Path(sys.argv[2]), name="guest")
"""


def test_an_import_that_is_killed_leaves_no_half_model(planted, tmp_path):
    _, folder = planted
    other = treadle.Workspace.create(tmp_path / "other")
    models = other.root / "models"
    seen = False
    for _ in range(12):  # until one was killed in the middle
        process = subprocess.Popen([sys.executable, "-c", IMPORT, other.root, folder / "gpt2.out.hf"])
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline and not list(models.glob(".m-*.tmp")):
            time.sleep(0.0005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        names = [model.name for model in other.list().models]
        if list(models.glob(".m-*.tmp")):
            seen = True
            assert names == []
            break
        if names:
            assert other.sample("guest", tokens=2, seed=1)["ids"]
            other.delete("guest")
    assert seen
    other.import_(folder / "gpt2.out.hf", name="guest")
    assert not list(models.glob(".m-*.tmp"))
    assert other.sample("guest", tokens=2, seed=1)["ids"]


EXPORT = """
import itertools, sys
from pathlib import Path
from treadle.operations import sharing
from treadle.store.workspace import WorkspaceFolder
workspace = WorkspaceFolder(Path(sys.argv[1]))
for turn in itertools.count():
    for to in ("huggingface", "gguf", "package"):
        sharing.export(workspace, "gpt2", to=to, out=Path(sys.argv[2]) / f"{turn}.{to}")
        print(to, flush=True)
"""


def test_what_an_export_that_is_killed_leaves_under_its_name_is_whole(planted, tmp_path):
    workspace, _ = planted
    chance, found = random.Random(20261122), []
    for number in range(6):
        out = tmp_path / str(number)
        out.mkdir()
        command = [sys.executable, "-c", EXPORT, workspace.root, out]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        for _ in range(number % 3 + 1):  # so that each format is once the one that is cut
            assert process.stdout.readline()
        time.sleep(chance.uniform(0, 0.03))
        process.kill()
        process.wait()
        process.stdout.close()
        found += [path for path in out.iterdir() if not path.name.startswith(".")]
    whole = {
        to: parts(next(path for path in found if path.suffix == to)) for to in (".huggingface", ".gguf", ".package")
    }
    assert len(found) >= 12
    assert [path for path in found if parts(path) != whole[path.suffix]] == []


def parts(exported):
    """Names and sizes of all files, and the hashes of those that hold weights alone."""
    files = [exported] if exported.is_file() else sorted(exported.rglob("*"))
    return [
        (path.name.removeprefix(exported.name), path.stat().st_size, path.suffix == ".safetensors" and hash_file(path))
        for path in files
        if path != exported or exported.is_file()
    ]


def test_a_tokenizer_of_a_package_is_the_very_same(planted):
    workspace, folder = planted
    description = checkpoint_of(workspace, "llama").record.tokenizer
    from treadle.data.tokenizers.exchange import read_tokenizer

    assert read_tokenizer(folder / "llama.out.hf" / "tokenizer.json").describe() == description
    assert tokenizer_hash(train_tokenizer("bpe:300", [PLAY])) == checkpoint_of(workspace, "llama").tokenizer_hash
