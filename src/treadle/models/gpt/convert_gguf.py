"""A gpt model as llama.cpp keeps it, both ways: the architectures `qwen3`, `llama` and `gpt2`.

`llama` rotates neighbours (2i, 2i + 1) of a head where ours rotate halves (i, i + D/2), so its query and key rows are
permuted. Without that the text looks fluent and means nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from treadle.base.errors import DataError, UsageError
from treadle.models.exchange.blocks import F16, F32, KINDS, Q8_0
from treadle.models.exchange.gguf_writer import Tensor
from treadle.models.gpt.config import GPTConfig
from treadle.models.gpt.convert_huggingface import Foreign, kind_of, with_gains
from treadle.models.gpt.weights import weight_shapes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from treadle.models.exchange.blocks import Kind

    Array = NDArray[np.float32]
    Arrays = Mapping[str, Array]

_PARTS: Final = {
    "attention_norm": "attn_norm",
    "attention.query": "attn_q",
    "attention.key": "attn_k",
    "attention.value": "attn_v",
    "attention.query_norm": "attn_q_norm",
    "attention.key_norm": "attn_k_norm",
    "attention.output": "attn_output",
    "feed_forward_norm": "ffn_norm",
    "feed_forward.gate": "ffn_gate",
    "feed_forward.up": "ffn_up",
    "feed_forward.down": "ffn_down",
}
_WHOLE: Final = {
    "embedding": "token_embd",
    "position": "position_embd",
    "norm": "output_norm",
    "head": "output",
}
_FUSED: Final = ("attention.query", "attention.key", "attention.value")
ARCHITECTURES: Final = ("llama", "qwen2", "qwen3", "gpt2")
FILE_TYPES: Final = {"f32": 0, "f16": 1, "q8_0": 7, "q4_0": 2}
"""What a file of each precision calls itself."""
_LARGEST_F16: Final = 65504.0


def facts_of(config: GPTConfig, vocabulary: int, context: int) -> dict[str, Any]:
    """The shape as pairs of key and value; raises `UsageError` for one that cannot be written."""
    kind = kind_of(config)
    facts: dict[str, Any] = {
        "context_length": context,
        "embedding_length": config.width,
        "block_count": config.layers,
        "feed_forward_length": config.feed_forward_width,
        "attention.head_count": config.heads,
        "vocab_size": vocabulary,
    }
    if kind == "gpt2":
        facts |= {"attention.layer_norm_epsilon": float(config.norm_epsilon)}
    else:
        facts |= {
            "attention.head_count_kv": config.key_value_heads,
            "attention.key_length": config.width_of_head,
            "attention.value_length": config.width_of_head,
            "attention.layer_norm_rms_epsilon": float(config.norm_epsilon),
            "rope.dimension_count": config.width_of_head,
            "rope.freq_base": float(config.rope_base),
        }
    return {"general.architecture": kind, **{f"{kind}.{key}": value for key, value in facts.items()}}


def to_gguf(config: GPTConfig, weights: Arrays, precision: str) -> list[Tensor]:
    """The weights as tensors of one precision.

    Vectors and positions stay in f32, as llama.cpp wants them. With q4_0 the rows that logits are made with stay in
    q8_0, and rows that are no multiple of a block stay in f16. Raises `UsageError` where f16 has no room for a value.
    """
    kind, complete = kind_of(config), with_gains(config, weights)
    found = []
    for name, array in complete.items():
        stem, _, last = name.rpartition(".")
        if stem in _WHOLE:
            found.append(_tensor(f"{_WHOLE[stem]}.{last}", array, precision, of_head=stem in {"embedding", "head"}))
            continue
        _, layer, part = stem.split(".", 2)
        if kind == "gpt2" and part in _FUSED:
            if part == _FUSED[0]:
                fused = np.concatenate([complete[f"layers.{layer}.{one}.{last}"] for one in _FUSED])
                found.append(_tensor(f"blk.{layer}.attn_qkv.{last}", fused, precision))
            continue
        if kind == "llama" and part in _FUSED[:2]:
            array = permuted(array, config.width_of_head)  # noqa: PLW2901 - the same weight in another order
        found.append(_tensor(f"blk.{layer}.{_PARTS[part]}.{last}", array, precision))
    return found


def _kind_for(name: str, shape: tuple[int, ...], precision: str, *, of_head: bool) -> Kind:
    """How one tensor is kept in a file of `precision`."""
    if len(shape) == 1 or name.startswith("position_embd"):
        return F32
    wanted = Q8_0 if precision == "q4_0" and of_head else KINDS[precision]
    return F16 if shape[-1] % wanted.group else wanted


def _tensor(name: str, array: Array, precision: str, *, of_head: bool = False) -> Tensor:
    kind = _kind_for(name, array.shape, precision, of_head=of_head)
    scaled = 1.0 if kind in {F32, F16} else 127.0 if kind is Q8_0 else 8.0
    if kind is not F32 and not float(np.abs(array).max(initial=0.0)) / scaled <= _LARGEST_F16:
        raise UsageError(f"{name} holds values that half precision has no room for. Write it with --precision f32.")
    return Tensor(name, array, kind)


def permuted(array: Array, head_width: int) -> Array:
    """Rows of each head from halves (i, i + D/2) to neighbours (2i, 2i + 1); (H * D, ...)."""
    heads = array.reshape(-1, 2, head_width // 2, *array.shape[1:])
    return np.ascontiguousarray(heads.swapaxes(1, 2)).reshape(array.shape)


def restored(array: Array, head_width: int) -> Array:
    """The inverse of `permuted`."""
    heads = array.reshape(-1, head_width // 2, 2, *array.shape[1:])
    return np.ascontiguousarray(heads.swapaxes(1, 2)).reshape(array.shape)


def shape_of(facts: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> Foreign:
    """Read the shape that a GGUF file states; raises `DataError` for an architecture that is not computed here."""
    kind = facts.get("general.architecture")
    if kind not in ARCHITECTURES:
        raise DataError(f"its architecture is {kind!r}; those that are read: {', '.join(ARCHITECTURES)}")

    def stated(key: str, default: Any = None) -> Any:  # noqa: ANN401 - whatever the file says
        found = facts.get(f"{kind}.{key}", default)
        if found is None:
            raise DataError(f"it does not say {kind}.{key}")
        return float(f"{found:.7g}") if isinstance(found, float) else found  # 1e-6 has become 9.99999997e-07

    if "rope_freqs.weight" in shapes or facts.get(f"{kind}.rope.scaling.type", "none") != "none":
        raise DataError("its rotary positions are scaled, which is not computed here")
    heads, width = stated("attention.head_count"), stated("embedding_length")
    try:
        shared = {
            "layers": stated("block_count"),
            "width": width,
            "heads": heads,
            "feed_forward": stated("feed_forward_length"),
            "tied_embeddings": "output.weight" not in shapes,
        }
        if kind == "gpt2":
            config = GPTConfig(
                **shared,
                positions="learned",
                norm="layernorm",
                norm_epsilon=stated("attention.layer_norm_epsilon"),
                qk_norm=False,
                activation="gelu",
                bias=True,
            )
        else:
            config = GPTConfig(
                **shared,
                kv_heads=stated("attention.head_count_kv", heads),
                head_width=stated("attention.key_length", width // heads),
                norm_epsilon=stated("attention.layer_norm_rms_epsilon"),
                rope_base=stated("rope.freq_base", 10_000.0),
                qk_norm=kind == "qwen3",
                bias="blk.0.attn_q.bias" in shapes,
            )
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise DataError(f"it describes no possible shape: {str(error).partition(chr(10))[0]}") from error
    vocabulary = shapes.get("token_embd.weight", (0,))[0]
    return Foreign(config, vocabulary, stated("context_length"))


def from_gguf(foreign: Foreign, kind: str, tensors: Arrays) -> dict[str, Array]:
    """Our weights from the tensors of a file of the architecture `kind`; raises `DataError` naming a missing one."""
    config = foreign.config
    found = {}
    for name, shape in weight_shapes(config, foreign.vocabulary, foreign.context).items():
        stem, _, last = name.rpartition(".")
        if stem in _WHOLE:
            found[name] = _taken(tensors, f"{_WHOLE[stem]}.{last}")
            continue
        _, layer, part = stem.split(".", 2)
        if kind == "gpt2" and part in _FUSED:
            fused = _taken(tensors, f"blk.{layer}.attn_qkv.{last}")
            size, which = len(fused) // 3, _FUSED.index(part)
            found[name] = np.ascontiguousarray(fused[which * size : (which + 1) * size])
            continue
        place = f"blk.{layer}.{_PARTS[part]}.{last}"
        if last == "bias" and place not in tensors:  # others have them in some places only
            found[name] = np.zeros(shape, np.float32)
            continue
        array = _taken(tensors, place)
        turned = kind == "llama" and part in _FUSED[:2] and len(array) % config.width_of_head == 0
        found[name] = restored(array, config.width_of_head) if turned else array
    return found


def _taken(tensors: Arrays, name: str) -> Array:
    if name not in tensors:
        raise DataError(f"the tensor {name} is missing")
    return tensors[name]
