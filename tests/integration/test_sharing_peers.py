"""What other programs make of our files, and we of theirs: transformers and llama.cpp, each in its own process.

llama.cpp is asked where a Python has `llama-cpp-python`: this one, or the one that `TREADLE_LLAMA_PYTHON` names.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import treadle
from treadle.data.bundled.texts import bundled_text
from treadle.data.tokenizers.definitions import definition_of
from treadle.data.tokenizers.tokenizer import train_tokenizer
from treadle.generation.engine import Rows
from treadle.models.exchange.safetensors_file import write_safetensors
from treadle.models.gpt.config import GPTConfig
from treadle.models.gpt.weights import weight_shapes
from treadle.recipes.opened_engine import open_sampling
from treadle.recipes.package_file import write_package
from treadle.store.workspace import WorkspaceFolder

TESTS = Path(__file__).parents[1]
PLAY = bundled_text("shakespeare").read_text(encoding="utf-8")[:12_000]
SMALL = {"layers": 2, "width": 64, "heads": 4, "feed_forward": 96}
GPT2 = {"positions": "learned", "norm": "layernorm", "qk_norm": False, "activation": "gelu", "tied_embeddings": True}
MODELS = {
    "qwen": (GPTConfig(**SMALL, kv_heads=2), "char", "Qwen3ForCausalLM"),
    "llama": (GPTConfig(**SMALL, qk_norm=False, kv_heads=1, rope_base=5000), "bpe:300", "LlamaForCausalLM"),
    "biased": (GPTConfig(**SMALL, qk_norm=False, bias=True, head_width=32), "bytes", "LlamaForCausalLM"),
    "plain": (GPTConfig(**SMALL, norm_gain=False, tied_embeddings=True), "bpe:300", "Qwen3ForCausalLM"),
    "gpt2": (GPTConfig(**SMALL, **GPT2, bias=True), "bytes", "GPT2LMHeadModel"),
    "biasless": (GPTConfig(**SMALL, **GPT2), "char", "GPT2LMHeadModel"),
}
CONTEXT, WRITTEN = 48, 24
TEXT = "First Citizen:\nWe are"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("peers")
    workspace = treadle.Workspace.create(folder / "lab")
    for seed, (name, (config, choice, _)) in enumerate(MODELS.items()):
        generator, tokenizer = np.random.default_rng(seed), train_tokenizer(choice, [PLAY])
        shapes = weight_shapes(config, tokenizer.vocabulary_size, CONTEXT)
        weights = {key: generator.standard_normal(shape, np.float32) / 4 for key, shape in shapes.items()}
        write_safetensors(folder / f"{name}-weights", weights)
        model = {"family": "gpt", "config": config.model_dump(mode="json"), "vocabulary": tokenizer.vocabulary_size,
                 "context": CONTEXT, "tokenizer": tokenizer.describe()}  # fmt: skip
        with (folder / f"{name}.treadle").open("wb") as file:
            write_package(file, {"model": model, "settings": {}, "facts": {}}, "", folder / f"{name}-weights")
        workspace.import_(folder / f"{name}.treadle", name=name)
    return workspace, folder


def ours(workspace, name, ids=None):
    """The ids of the text, the logits after each of `ids` (else of the text), and what follows greedily."""
    opened = open_sampling(WorkspaceFolder(workspace.root), name, "latest", ["generation.precision=fp32"])
    try:
        text = opened.tokenizer.encode(TEXT).tolist()
        read = ids or text
        logits = opened.engine.step(Rows.of((token, 0, place, True) for place, token in enumerate(read)))
        last, written = logits[-1], []
        for place in range(len(read), min(len(read) + WRITTEN, CONTEXT)):
            written.append(int(last.argmax()))
            (last,) = opened.engine.step(Rows.of([(written[-1], 0, place, True)]))
        return text, logits, written
    finally:
        opened.engine.close()


def asked(python, script, request, folder):
    path = folder / f"{Path(script).stem}.json"
    path.write_text(json.dumps(request))
    done = subprocess.run([python, TESTS / script, path], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_transformers_reads_ours_and_we_read_its_own(lab):
    for library in ("transformers", "torch"):
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed")
    workspace, folder = lab
    for name in MODELS:
        workspace.export(name, to="huggingface", out=folder / f"{name}-hf")
    tokenizer = train_tokenizer("bpe:300", [PLAY])
    ids = [5, 17, 200, 299, 63, 5, 5, 88, 91, 2, 0, 250]
    request = {
        "read": {str(folder / f"{name}-hf"): {"text": TEXT} for name in MODELS},
        "make": str(folder / "theirs"),
        "ids": ids,
        "vocabulary": tokenizer.vocabulary_size + 20,
    }
    answers = asked(sys.executable, "read_with_transformers.py", request, folder)
    for name, (_, _, theirs) in MODELS.items():
        found = answers["read"][str(folder / f"{name}-hf")]
        text, logits, _ = ours(workspace, name)
        assert (found["class"], found["odd"]) == (theirs, {}), name
        assert (found["ids"], found["text"]) == (text, TEXT), name
        assert np.abs(np.array(found["logits"]) - logits).max() < 1e-5 * np.abs(logits).max(), name
    for kind, logits in answers["made"].items():
        definition = json.dumps(definition_of(tokenizer))
        (folder / "theirs" / kind / "tokenizer.json").write_text(definition)
        report = workspace.import_(folder / "theirs" / kind, name=f"their-{kind}")
        assert "20 rows" in report.notes[-1]
        found = ours(workspace, f"their-{kind}", ids)[1]
        expected = np.array(logits)[:, : tokenizer.vocabulary_size]
        assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max(), kind


def test_llama_cpp_writes_what_we_write(lab):
    python = os.environ.get("TREADLE_LLAMA_PYTHON")
    if python is None and importlib.util.find_spec("llama_cpp") is None:
        pytest.skip("llama-cpp-python is not installed; TREADLE_LLAMA_PYTHON may name a Python that has it")
    workspace, folder = lab
    request = {}
    for name in MODELS:
        for precision in ("f32", "f16", "q8_0", "q4_0"):
            target = folder / f"{name}-{precision}"
            workspace.export(name, to="gguf", precision=precision, margin=100, out=target)
            request[str(target / f"{name}-{precision}.gguf")] = {"text": TEXT, "tokens": WRITTEN, "context": CONTEXT}
    answers = asked(python or sys.executable, "read_with_llama.py", request, folder)
    different: set[tuple[str, int]] = set()
    for name in MODELS:
        text, _, written = ours(workspace, name)
        for precision in ("f32", "f16", "q8_0", "q4_0"):
            path = folder / f"{name}-{precision}" / f"{name}-{precision}.gguf"
            found = answers[str(path)]
            assert found["ids"] == text, name
            back = workspace.import_(path, name=f"{name}-{precision}")
            mine = ours(workspace, back.name)[2]  # from the very values that the file holds
            if precision == "f32":
                assert found["written"] == written == mine, name
                different |= {(name, token) for token in written}
            elif precision == "f16":
                assert found["written"][:8] == mine[:8], (name, precision)
            assert np.mean(np.array(found["written"][:4]) == mine[:4]) >= 0.5, (name, precision)
    assert len(different) > 4 * len(MODELS), "texts of repetitions would prove little"
