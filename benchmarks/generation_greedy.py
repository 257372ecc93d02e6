"""Whether all fp32 engines write the same greedy tokens: ours, our torch reference, transformers and llama.cpp.

    python benchmarks/generation_greedy.py --size 95M [--peer-python PATH] [--llama-python PATH] [--out FILE]
    python benchmarks/generation_greedy.py --model WORKSPACE NAME [--checkpoint latest] [--peer-python PATH] ...

`--size` takes random weights of a size of `generation.py`, `--model` those of a trained model. Every engine continues
the same prompts by 64 tokens, always with the likeliest. Engines that are not installed are left out. The command fails
if the reference or transformers differ, and tells by how much the two likeliest tokens were apart where they did: sums
in another order move logits by about a hundred thousandth. llama.cpp, of which parts compute in half precision even
when weights, keys and values are fp32, moves them by a hundredth with random weights; it is shown and not counted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from generation import ENVIRONMENT, SIZES, OwnSteps, TransformersSteps, save_shape, save_weights

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from generation import Steps

    from treadle.models.gpt.config import GPTConfig

TOKENS = 64
PROMPTS = ("To be, or not to be", "ROMEO:\n", "The king", "What", "I will not", "\n\n", "My lord, the", "Alas")
ENGINES = ("native", "torch", "transformers", "llama")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES)
    parser.add_argument("--model", nargs=2, metavar=("WORKSPACE", "NAME"))
    parser.add_argument("--checkpoint", default="latest")
    parser.add_argument("--peer-python")
    parser.add_argument("--llama-python")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        run_child(chosen.child[0], Path(chosen.child[1]))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        what = trained(chosen, folder) if chosen.model else random(chosen.size, folder)
        pythons = {"transformers": chosen.peer_python, "llama": chosen.llama_python}
        found = {one: asked(one, pythons.get(one, sys.executable), folder) for one in ENGINES}
    answers = {engine: texts for engine, texts in found.items() if texts is not None}
    counts = {engine: list(equal(texts, answers["native"])) for engine, texts in answers.items()}
    for engine, numbers in counts.items():
        print(f"{what} {engine:<13} tokens equal to native's, of {TOKENS}: {numbers}", flush=True)
    if chosen.out:
        facts = {"command": " ".join(sys.argv), "date": time.strftime("%Y-%m-%d"), "model": what, "equal": counts}
        chosen.out.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    if any(number < TOKENS for engine, numbers in counts.items() if engine != "llama" for number in numbers):
        sys.exit(f"Engines that compute in fp32 chose different tokens; margins: {margins(answers)}")


def equal(texts: list[Any], others: list[Any]) -> Iterator[int]:
    """How many tokens of each text are the same up to the first that is not."""
    for text, other in zip(texts, others, strict=True):
        same = [a == b for a, b in zip(text["ids"], other["ids"], strict=True)]
        yield same.index(False) if False in same else TOKENS


def margins(answers: dict[str, list[Any]]) -> dict[str, list[float]]:
    """By how much our two likeliest tokens were apart where an engine chose another one."""
    return {
        engine: [
            native["margins"][count]
            for count, native in zip(equal(texts, answers["native"]), answers["native"], strict=True)
            if count < TOKENS
        ]
        for engine, texts in answers.items()
    }


def random(size: str, folder: Path) -> str:
    save_weights(size, folder)
    generator = np.random.default_rng(2)
    prompts = [
        generator.integers(0, SIZES[size].vocabulary, length).tolist() for length in (1, 3, 9, 17, 40, 64, 100, 180)
    ]
    (folder / "prompts.json").write_text(json.dumps(prompts), encoding="utf-8")
    return f"{size}, random weights"


def trained(chosen: argparse.Namespace, folder: Path) -> str:
    from safetensors.numpy import save_file

    from treadle.data.tokenizers.tokenizer import tokenizer_from_description
    from treadle.recipes.opened_engine import engine_model, find_sampling
    from treadle.store.workspace import find_workspace

    workspace, name = chosen.model
    checkpoint = find_sampling(find_workspace(Path(workspace)), name, chosen.checkpoint, ()).checkpoint
    model = engine_model(checkpoint)
    save_file({one: model.weights[one] for one in model.weights}, folder / "model.safetensors")
    save_shape(model.config, model.vocabulary, model.context, folder)
    tokenizer = tokenizer_from_description(checkpoint.record.tokenizer)
    prompts = [tokenizer.encode(prompt).tolist() for prompt in PROMPTS]
    (folder / "prompts.json").write_text(json.dumps(prompts), encoding="utf-8")
    values = sum(int(model.weights[one].size) for one in model.weights)
    return f"{name}, step {checkpoint.step}, {values / 1e6:.1f}M"


def asked(engine: str, python: str | None, folder: Path) -> list[Any] | None:
    """What an engine wrote, in a process of its own; None where it is not installed."""
    if python is None:
        return None
    if engine == "llama":
        script = [str(Path(__file__).with_name("llama_peer.py")), "greedy", str(folder), "f32"]
    else:
        script = [__file__, "--child", engine, str(folder)]
    ran = subprocess.run([python, *script], stdout=subprocess.PIPE, text=True, check=True, env=ENVIRONMENT)
    answer: list[Any] = json.loads(ran.stdout)
    return answer


def run_child(engine: str, folder: Path) -> None:
    shape = json.loads((folder / "shape.json").read_text())
    steps = open_steps(engine, shape, folder)
    print(json.dumps([continued(steps, prompt) for prompt in json.loads((folder / "prompts.json").read_text())]))


def continued(steps: Steps, prompt: list[int]) -> dict[str, Any]:
    """The likeliest tokens, and how far the second likeliest of each place was behind."""
    ids: list[int] = []
    behind: list[float] = []
    scores = steps.feed([prompt], 0)[0]
    for place in range(len(prompt), len(prompt) + TOKENS):
        second, first = np.partition(scores, -2)[-2:]
        ids.append(int(scores.argmax()))
        behind.append(float(first - second))
        scores = steps.feed([ids[-1:]], place)[0]
    return {"ids": ids, "margins": behind}


def open_steps(engine: str, shape: dict[str, Any], folder: Path) -> Steps:
    if engine == "transformers":
        return TransformersSteps(transformers_model(shape, folder))
    from safetensors.numpy import load_file

    from treadle.generation.engine import EngineModel, open_engine

    weights = load_file(folder / "model.safetensors")
    model = EngineModel("gpt", config_of(shape), weights, shape["vocabulary"], shape["context"])
    return OwnSteps(open_engine(model, engine, "fp32", 1))


def config_of(shape: dict[str, Any]) -> GPTConfig:
    from treadle.models.gpt.config import GPTConfig

    same = (
        "layers",
        "width",
        "heads",
        "kv_heads",
        "head_width",
        "feed_forward",
        "qk_norm",
        "rope_base",
        "norm_epsilon",
    )
    return GPTConfig(**{name: shape[name] for name in same})


def transformers_model(shape: dict[str, Any], folder: Path) -> torch.nn.Module:
    """Qwen3 where heads are normed, else Llama."""
    import torch
    from safetensors.torch import load_file
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

    kind, network = (Qwen3Config, Qwen3ForCausalLM) if shape["qk_norm"] else (LlamaConfig, LlamaForCausalLM)
    model = network(
        kind(
            vocab_size=shape["vocabulary"], hidden_size=shape["width"], intermediate_size=shape["feed_forward"],
            num_hidden_layers=shape["layers"], num_attention_heads=shape["heads"],
            num_key_value_heads=shape["kv_heads"], head_dim=shape["head_width"],
            max_position_embeddings=shape["context"], rms_norm_eps=shape["norm_epsilon"],
            rope_theta=shape["rope_base"], tie_word_embeddings=False,
        )
    )  # fmt: skip
    parts = {
        "attention.": "self_attn.", "query_norm.": "q_norm.", "key_norm.": "k_norm.", "query.": "q_proj.",
        "key.": "k_proj.", "value.": "v_proj.", "output.": "o_proj.", "attention_norm.": "input_layernorm.",
        "feed_forward_norm.": "post_attention_layernorm.", "feed_forward.": "mlp.", "gate.": "gate_proj.",
        "up.": "up_proj.", "down.": "down_proj.",
    }  # fmt: skip
    whole = {"embedding.weight": "model.embed_tokens.weight", "norm.weight": "model.norm.weight"}
    named = {}
    for name, weight in load_file(folder / "model.safetensors").items():
        theirs = whole.get(name, name if name == "head.weight" else f"model.{name}")
        for ours, other in parts.items() if name.startswith("layers.") else ():
            theirs = theirs.replace(f".{ours}", f".{other}")
        named["lm_head.weight" if name == "head.weight" else theirs] = weight
    model.load_state_dict(named)
    return model.eval().to(torch.float32)


if __name__ == "__main__":
    main()
