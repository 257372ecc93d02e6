"""CTranslate2 as a peer, run by a Python that has `ctranslate2` and numpy, not Treadle.

    python ctranslate_peer.py measure FOLDER FORMAT SECONDS     speeds, greedy tokens and memory as JSON
    python ctranslate_peer.py cold FOLDER FORMAT                the first token, then the end

`FOLDER` holds `model.safetensors` and `shape.json`. The model is described to CTranslate2 weight by weight, as its own
converter does for Llama, and written there once for each format. It has no call for one step: the time of a step is
what passes between its answers, and prefill is a request for one token.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from llama_peer import fast_fifth, peak_memory, read_weights

FORMATS = {"int8": "int8", "fp32": "float32"}


def write_model(folder: Path, format_: str) -> Path:
    """The model in CTranslate2's own layout, rounded as it does itself."""
    from ctranslate2.specs import common_spec, transformer_spec

    target = folder / f"ctranslate-{format_}"
    if target.exists():
        return target
    shape = json.loads((folder / "shape.json").read_text())
    if shape["qk_norm"]:
        raise ValueError("the converter of Llama knows no norm of queries and keys")
    weights = {name: one.copy() for name, one in read_weights(folder / "model.safetensors").items()}
    spec = transformer_spec.TransformerDecoderModelSpec.from_config(
        shape["layers"], shape["heads"], activation=common_spec.Activation.SWISH, pre_norm=True, ffn_glu=True,
        rms_norm=True, rotary_dim=0, rotary_interleave=False, rotary_base=shape["rope_base"],
        num_heads_kv=None if shape["kv_heads"] == shape["heads"] else shape["kv_heads"],
    )  # fmt: skip
    decoder = spec.decoder
    decoder.scale_embeddings = False
    decoder.embeddings.weight = weights["embedding.weight"]
    decoder.layer_norm.gamma = weights["norm.weight"]
    decoder.projection.weight = weights["head.weight"]
    for index, layer in enumerate(decoder.layer):
        own = {
            name.split(".", 2)[2].removesuffix(".weight"): one
            for name, one in weights.items()
            if name.startswith(f"layers.{index}.")
        }
        layer.self_attention.layer_norm.gamma = own["attention_norm"]
        layer.self_attention.linear[0].weight = np.concatenate(
            [own["attention.query"], own["attention.key"], own["attention.value"]]
        )
        layer.self_attention.linear[1].weight = own["attention.output"]
        layer.ffn.layer_norm.gamma = own["feed_forward_norm"]
        layer.ffn.linear_0.weight = own["feed_forward.gate"]
        layer.ffn.linear_0_noact.weight = own["feed_forward.up"]
        layer.ffn.linear_1.weight = own["feed_forward.down"]
    spec.register_vocabulary([f"t{i}" for i in range(shape["vocabulary"])])
    for role in ("bos_token", "eos_token", "unk_token"):
        setattr(spec.config, role, "t0")
    spec.config.layer_norm_epsilon = shape["norm_epsilon"]
    spec.validate()
    spec.optimize(quantization=FORMATS[format_])
    target.mkdir()
    spec.save(str(target))
    return target


class Model:
    """A model in CTranslate2 on two threads."""

    def __init__(self, folder: Path, format_: str) -> None:
        import ctranslate2

        path = write_model(folder, format_)
        self.generator = ctranslate2.Generator(
            str(path), device="cpu", compute_type=FORMATS[format_], inter_threads=1, intra_threads=2
        )

    def write(self, prompts: list[list[int]], count: int) -> tuple[list[list[int]], list[float]]:
        """Go on from prompts of one length by so many likeliest tokens; also when each step's were told."""
        told: list[float] = []

        def tell(step: Any) -> bool:  # noqa: ANN401 - their class
            if step.batch_id == 0:
                told.append(time.perf_counter())
            return False

        found = self.generator.generate_batch(
            [[f"t{id_}" for id_ in ids] for ids in prompts],
            max_batch_size=len(prompts), beam_size=1, sampling_topk=1, min_length=count, max_length=count,
            include_prompt_in_result=False, end_token=[], callback=tell,
        )  # fmt: skip
        return [one.sequences_ids[0] for one in found], told


def decode(model: Model, context: int, batch: int, seconds: float) -> dict[str, float]:
    times: list[float] = []
    while sum(times) < seconds:
        _, told = model.write([[slot % 50 + 1] for slot in range(batch)], context - 1)
        times += np.diff(told).tolist()
    return {"fast": round(batch / fast_fifth(times), 1), "median": round(batch / float(np.median(times)), 1)}


def measure(folder: Path, format_: str, seconds: float) -> dict[str, Any]:
    shape = json.loads((folder / "shape.json").read_text())
    context = shape["context"]
    model = Model(folder, format_)
    facts: dict[str, Any] = {"decode": {}, "greedy": model.write([[1, 2, 3]], 64)[0][0]}
    for batch in (1, 8, 32):
        facts["decode"][str(batch)] = decode(model, context, batch, seconds)
        if batch == 1:
            facts["rss_mb"] = peak_memory()
    prompt = [[(7 * i) % shape["vocabulary"] for i in range(context - 1)]]
    times: list[float] = []
    while sum(times) < seconds or len(times) < 3:
        begin = time.perf_counter()
        model.write(prompt, 1)
        times.append(time.perf_counter() - begin)
    facts["prefill"] = round((context - 1) / fast_fifth(times), 1)
    return facts


def main(what: str, folder: Path, format_: str, *more: str) -> None:
    if what == "measure":
        print(json.dumps(measure(folder, format_, float(more[0]))))
    else:
        print(Model(folder, format_).write([[1, 2, 3]], 1)[0][0][0], flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], *sys.argv[4:])
