"""llama.cpp as a peer, run by a Python that has `llama-cpp-python` (built natively), `gguf` and numpy, not Treadle.

    python llama_peer.py measure FOLDER FORMAT SECONDS     speeds, greedy tokens and memory as JSON
    python llama_peer.py cold FOLDER FORMAT                the first token, then the end
    python llama_peer.py logits FOLDER FORMAT IDS.npy OUT.npy
    python llama_peer.py greedy FOLDER FORMAT              64 tokens after each prompt of `prompts.json`

`FOLDER` holds `model.safetensors` and `shape.json`; the GGUF file is written there once, since llama.cpp's own
converter refuses tokenizers that it does not know. Only `llama_decode` is timed: filling its
batch and choosing a token are not.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

ROWS = 512


def read_weights(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """A safetensors file of fp32."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    start = 8 + length
    return {
        name: np.frombuffer(data, np.float32, offset=start + one["data_offsets"][0], count=int(np.prod(one["shape"])))
        .reshape(one["shape"])
        for name, one in header.items()
    }  # fmt: skip


def write_gguf(folder: Path, format_: str) -> Path:
    """The model as GGUF: `qwen3` where heads are normed, else `llama`, whose rotation wants permuted rows."""
    import gguf

    target = folder / f"model-{format_}.gguf"
    if target.exists():
        return target
    shape = json.loads((folder / "shape.json").read_text())
    weights = read_weights(folder / "model.safetensors")
    normed = shape["qk_norm"]
    writer = gguf.GGUFWriter(target, "qwen3" if normed else "llama")
    writer.add_vocab_size(shape["vocabulary"])
    writer.add_context_length(shape["context"])
    writer.add_embedding_length(shape["width"])
    writer.add_block_count(shape["layers"])
    writer.add_feed_forward_length(shape["feed_forward"])
    writer.add_head_count(shape["heads"])
    writer.add_head_count_kv(shape["kv_heads"])
    writer.add_key_length(shape["head_width"])
    writer.add_value_length(shape["head_width"])
    writer.add_rope_dimension_count(shape["head_width"])
    writer.add_rope_freq_base(shape["rope_base"])
    writer.add_layer_norm_rms_eps(shape["norm_epsilon"])
    writer.add_tokenizer_model("no_vocab")
    kinds = gguf.GGMLQuantizationType
    kind = {"q8_0": kinds.Q8_0, "q4_0": kinds.Q4_0, "bf16": kinds.BF16, "f32": kinds.F32}[format_]
    for name, one in weights.items():
        values = one
        if not normed and name.endswith(("attention.query.weight", "attention.key.weight")):
            heads = one.shape[0] // shape["head_width"]
            values = one.reshape(heads, 2, -1, one.shape[1]).swapaxes(1, 2).reshape(one.shape)
        values = np.ascontiguousarray(values)
        if values.ndim == 1 or kind == kinds.F32:
            writer.add_tensor(theirs(name), values)
        else:
            writer.add_tensor(theirs(name), gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def theirs(name: str) -> str:
    whole = {
        "embedding.weight": "token_embd.weight",
        "norm.weight": "output_norm.weight",
        "head.weight": "output.weight",
    }
    if name in whole:
        return whole[name]
    _, layer, part = name.split(".", 2)
    parts = {
        "attention_norm": "attn_norm", "attention.query": "attn_q", "attention.key": "attn_k",
        "attention.value": "attn_v", "attention.output": "attn_output", "attention.query_norm": "attn_q_norm",
        "attention.key_norm": "attn_k_norm", "feed_forward_norm": "ffn_norm", "feed_forward.gate": "ffn_gate",
        "feed_forward.up": "ffn_up", "feed_forward.down": "ffn_down",
    }  # fmt: skip
    return f"blk.{layer}.{parts[part.removesuffix('.weight')]}.weight"


class Model:
    """A model in llama.cpp, with room for some texts."""

    def __init__(self, path: Path, context: int, texts: int, *, exact: bool = False) -> None:
        """Keys and values are kept in half precision, its default, unless it should be `exact`."""
        import llama_cpp

        self.library = llama_cpp
        llama_cpp.llama_log_set(SILENT, None)
        llama_cpp.llama_backend_init()
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx, settings.n_batch, settings.n_ubatch = context * texts, ROWS, ROWS
        settings.n_seq_max, settings.n_threads, settings.n_threads_batch = texts, 2, 2
        if exact:
            settings.type_k = settings.type_v = llama_cpp.GGML_TYPE_F32
        self.state = llama_cpp.llama_init_from_model(self.model, settings)
        self.batch = llama_cpp.llama_batch_init(ROWS, 0, 1)
        self.vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))

    def feed(self, texts: list[list[int]], position: int, *, every: bool = False) -> float:
        """Feed each text some tokens; returns the seconds that it took."""
        if position == 0:
            self.library.llama_memory_clear(self.library.llama_get_memory(self.state), True)  # noqa: FBT003
        row = 0
        for slot, ids in enumerate(texts):
            for i, token in enumerate(ids):
                self.batch.token[row], self.batch.pos[row] = token, position + i
                self.batch.n_seq_id[row], self.batch.seq_id[row][0] = 1, slot
                self.batch.logits[row] = every or i == len(ids) - 1
                row += 1
        self.batch.n_tokens = row
        begin = time.perf_counter()
        failed = self.library.llama_decode(self.state, self.batch)
        self.library.llama_synchronize(self.state)
        seconds = time.perf_counter() - begin
        if failed:
            raise RuntimeError(f"llama_decode: {failed}")
        return seconds

    def logits(self, row: int) -> np.ndarray[Any, Any]:
        return np.ctypeslib.as_array(self.library.llama_get_logits_ith(self.state, row), (self.vocabulary,)).copy()


@ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
def SILENT(*_: object) -> None:  # noqa: N802 - a constant in all but form
    """Swallow what llama.cpp says."""


def greedy(model: Model, count: int, prompt: tuple[int, ...] = (1, 2, 3)) -> list[int]:
    ids: list[int] = []
    model.feed([list(prompt)], 0)
    row = len(prompt) - 1
    for position in range(len(prompt), len(prompt) + count):
        ids.append(int(model.logits(row).argmax()))
        model.feed([[ids[-1]]], position)
        row = 0
    return ids


def decode(model: Model, context: int, batch: int, seconds: float) -> dict[str, float]:
    times: list[float] = []
    spent = 0.0
    while spent < seconds:
        model.feed([[1]] * batch, 0)
        for position in range(1, context - 1):
            times.append(model.feed([[position % 50 + 1]] * batch, position))
            spent += times[-1]
            if spent > seconds and len(times) > 4:
                break
    return {"fast": round(batch / fast_fifth(times), 1), "median": round(batch / float(np.median(times)), 1)}


def fast_fifth(times: list[float]) -> float:
    ordered = sorted(times)
    return float(np.mean(ordered[: max(1, len(ordered) // 5)]))


def peak_memory() -> float:
    """Most memory that this process has had, in MB; `getrusage` would count the parent before the start."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return round(int(status.partition("VmHWM:")[2].split()[0]) / 1024, 1)


def measure(folder: Path, format_: str, seconds: float) -> dict[str, Any]:
    shape = json.loads((folder / "shape.json").read_text())
    path, context = write_gguf(folder, format_), shape["context"]
    facts: dict[str, Any] = {"decode": {}}
    for batch in (1, 8, 32):  # as many texts as are written: room for more would cost it time
        model = Model(path, context, batch)
        if batch == 1:
            facts["greedy"] = greedy(model, 64)
            prompt = [(7 * i) % shape["vocabulary"] for i in range(context - 1)]
            times: list[float] = []
            while sum(times) < seconds or len(times) < 3:
                times.append(model.feed([prompt], 0))
            facts["prefill"] = round(len(prompt) / fast_fifth(times), 1)
        facts["decode"][str(batch)] = decode(model, context, batch, seconds)
        if batch == 1:
            facts["rss_mb"] = peak_memory()
    return facts


def main(what: str, folder: Path, format_: str, *more: str) -> None:
    shape = json.loads((folder / "shape.json").read_text())
    if what == "measure":
        print(json.dumps(measure(folder, format_, float(more[0]))))
    elif what == "cold":
        model = Model(write_gguf(folder, format_), shape["context"], 1)
        model.feed([[1, 2, 3]], 0)
        print(int(model.logits(2).argmax()), flush=True)
    elif what == "greedy":
        model = Model(write_gguf(folder, format_), shape["context"], 1, exact=True)
        prompts = json.loads((folder / "prompts.json").read_text())
        print(json.dumps([{"ids": greedy(model, 64, tuple(prompt))} for prompt in prompts]))
    else:
        model, found = Model(write_gguf(folder, format_), shape["context"], 1), []
        for window in np.load(more[0]):
            model.feed([window.tolist()], 0, every=True)
            found.append([model.logits(row) for row in range(len(window))])
        np.save(more[1], np.array(found, np.float32))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], *sys.argv[4:])
