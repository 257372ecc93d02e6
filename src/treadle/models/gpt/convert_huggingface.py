"""A gpt model as transformers keeps it, both ways: as `qwen3` or `llama` (rotary positions), or as `gpt2`.

Matrices of the first two are ours under other names. `gpt2` keeps queries, keys and values in one, and all matrices
turned over (its `Conv1D` is (in, out)).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from treadle.base.errors import DataError, UsageError
from treadle.models.gpt.config import GPTConfig
from treadle.models.gpt.weights import weight_shapes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    Array = NDArray[np.float32]
    Arrays = Mapping[str, Array]

_ROTARY: Final = {
    "attention_norm": "input_layernorm",
    "attention.query": "self_attn.q_proj",
    "attention.key": "self_attn.k_proj",
    "attention.value": "self_attn.v_proj",
    "attention.query_norm": "self_attn.q_norm",
    "attention.key_norm": "self_attn.k_norm",
    "attention.output": "self_attn.o_proj",
    "feed_forward_norm": "post_attention_layernorm",
    "feed_forward.gate": "mlp.gate_proj",
    "feed_forward.up": "mlp.up_proj",
    "feed_forward.down": "mlp.down_proj",
}
_GPT2: Final = {
    "attention_norm": "ln_1",
    "attention.output": "attn.c_proj",
    "feed_forward_norm": "ln_2",
    "feed_forward.up": "mlp.c_fc",
    "feed_forward.down": "mlp.c_proj",
}
_TURNED: Final = ("attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
_FUSED: Final = ("attention.query", "attention.key", "attention.value")
READ: Final = ("llama", "mistral", "qwen2", "qwen3", "gpt2")
"""Values of `model_type` that are read."""
_TANH: Final = ("gelu_new", "gelu_pytorch_tanh")
_MOST: Final = 1 << 24
"""Token ids or positions."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """What a file of somebody else says of a model's shape."""

    config: GPTConfig
    vocabulary: int
    context: int
    notes: tuple[str, ...] = ()
    """What is not exactly as it was there, in whole sentences."""

    def __post_init__(self) -> None:
        """Raise `DataError` for numbers that no model has."""
        for number, what in ((self.vocabulary, "token ids"), (self.context, "positions")):
            if type(number) is not int or not 1 <= number <= _MOST:
                raise DataError(f"it states an impossible number of {what}: {str(number)[:40]}")


def kind_of(config: GPTConfig) -> str:
    """What others call this shape: `qwen3`, `llama` or `gpt2`; raises `UsageError` with every reason if it has no name.

    Norms without gains count as gains of one, and missing biases of `gpt2` as zeros.
    """
    found = [reason for reason, wrong in _in_no_format(config) if wrong]
    kind = "gpt2" if config.positions == "learned" else ("qwen3" if config.qk_norm else "llama")
    found += [reason for reason, wrong in (_against_gpt2 if kind == "gpt2" else _against_rotary)(config) if wrong]
    if found:
        raise UsageError(
            f"This model's shape cannot be written for other programs: {'; '.join(found)}. "
            "A package for other workspaces carries every shape: --to package"
        )
    return kind


def _in_no_format(config: GPTConfig) -> list[tuple[str, bool]]:
    return [
        (f"family.attention={config.attention} is not what they compute", config.attention != "full"),
        ("family.embedding_norm=true is known to none of them", config.embedding_norm),
        (f"family.logit_soft_cap={config.logit_soft_cap:g} is known to none of them", config.logit_soft_cap > 0),
    ]


def _against_gpt2(config: GPTConfig) -> list[tuple[str, bool]]:
    return [
        ("learned positions go with family.norm=layernorm there", config.norm != "layernorm"),
        ("learned positions go with family.activation=gelu there", config.activation != "gelu"),
        ("learned positions go without family.qk_norm there", config.qk_norm),
        ("gpt2 has heads that fill the width", config.width_of_head * config.heads != config.width),
    ]


def _against_rotary(config: GPTConfig) -> list[tuple[str, bool]]:
    return [
        ("rotary positions go with family.norm=rmsnorm there", config.norm != "rmsnorm"),
        ("rotary positions go with family.activation=swiglu there", config.activation != "swiglu"),
        ("norms on queries and keys go without biases there", config.qk_norm and config.bias),
    ]


def settings_of(config: GPTConfig, vocabulary: int, context: int, boundary: int) -> dict[str, Any]:
    """The content of `config.json`; raises `UsageError` for a shape that cannot be written."""
    kind = kind_of(config)
    shared = {
        "model_type": kind,
        "vocab_size": vocabulary,
        "bos_token_id": boundary,
        "eos_token_id": boundary,
        "tie_word_embeddings": config.tied_embeddings,
        "torch_dtype": "float32",
        "use_cache": True,
    }
    if kind == "gpt2":
        return {
            "architectures": ["GPT2LMHeadModel"],
            **shared,
            "n_positions": context,
            "n_embd": config.width,
            "n_layer": config.layers,
            "n_head": config.heads,
            "n_inner": config.feed_forward_width,
            "activation_function": "gelu_new",
            "layer_norm_epsilon": config.norm_epsilon,
            **dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0),
        }
    biases = {"attention_bias": config.bias, "mlp_bias": config.bias} if kind == "llama" else {"attention_bias": False}
    return {
        "architectures": ["Qwen3ForCausalLM" if kind == "qwen3" else "LlamaForCausalLM"],
        **shared,
        "hidden_size": config.width,
        "intermediate_size": config.feed_forward_width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.key_value_heads,
        "head_dim": config.width_of_head,
        "hidden_act": "silu",
        "max_position_embeddings": context,
        "rms_norm_eps": config.norm_epsilon,
        "rope_theta": config.rope_base,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_base},
        "attention_dropout": 0.0,
        **biases,
    }


def to_huggingface(config: GPTConfig, weights: Arrays) -> dict[str, Array]:
    """The weights under the names, and in the order of axes, of transformers."""
    complete = with_gains(config, weights)
    if kind_of(config) == "gpt2":
        return dict(_to_gpt2(config, complete))
    whole = {"embedding": "model.embed_tokens", "norm": "model.norm", "head": "lm_head"}
    found = {}
    for name, array in complete.items():
        stem, _, last = name.rpartition(".")
        if stem in whole:
            found[f"{whole[stem]}.{last}"] = array
        else:
            _, layer, part = stem.split(".", 2)
            found[f"model.layers.{layer}.{_ROTARY[part]}.{last}"] = array
    return found


def with_gains(config: GPTConfig, weights: Arrays) -> dict[str, Array]:
    """All weights, with gains of one and biases of zero where other programs want some and this shape has none.

    `gpt2` knows no shared key/value heads: each query head is given its own copy, which computes the same.
    """
    gpt2 = config.positions == "learned"
    if gpt2 and config.key_value_heads < config.heads:
        weights = {name: _own_heads(config, name, weights[name]) for name in weights}
    full = config.model_copy(update={"norm_gain": True, "bias": config.bias or gpt2})
    shapes = weight_shapes(full, len(weights["embedding.weight"]), len(weights.get("position.weight", ())))
    return {
        name: weights[name] if name in weights else np.full(shape, float(name.endswith(".weight")), np.float32)
        for name, shape in shapes.items()
    }


def _own_heads(config: GPTConfig, name: str, array: Array) -> Array:
    if not name.rpartition(".")[0].endswith(_FUSED[1:]):
        return array
    heads = array.reshape(config.key_value_heads, config.width_of_head, *array.shape[1:])
    return np.repeat(heads, config.heads // config.key_value_heads, axis=0).reshape(-1, *array.shape[1:])


def _to_gpt2(config: GPTConfig, weights: Arrays) -> Iterator[tuple[str, Array]]:
    yield "transformer.wte.weight", weights["embedding.weight"]
    yield "transformer.wpe.weight", weights["position.weight"]
    for layer in range(config.layers):
        ours, theirs = f"layers.{layer}", f"transformer.h.{layer}"
        for last in ("weight", "bias"):
            parts = [weights[f"{ours}.{part}.{last}"] for part in _FUSED]
            fused = np.concatenate(parts)
            yield f"{theirs}.attn.c_attn.{last}", np.ascontiguousarray(fused.T)
            for part, name in _GPT2.items():
                array = weights[f"{ours}.{part}.{last}"]
                turned = f"{name}.{last}".endswith(_TURNED)
                yield f"{theirs}.{name}.{last}", np.ascontiguousarray(array.T) if turned else array
    for last in ("weight", "bias"):
        yield f"transformer.ln_f.{last}", weights[f"norm.{last}"]
    if not config.tied_embeddings:
        yield "lm_head.weight", weights["head.weight"]


def shape_of(stated: Mapping[str, Any]) -> Foreign:
    """Read a `config.json`; raises `DataError` for a model of another kind or one that computes something else."""
    kind = stated.get("model_type")
    if kind not in READ:
        raise DataError(f"its model_type is {kind!r}; those that are read: {', '.join(READ)}")
    try:
        return _gpt2_shape(stated) if kind == "gpt2" else _rotary_shape(stated, str(kind))
    except KeyError as error:
        raise DataError(f"its config.json does not say {error}") from error
    except (TypeError, ValueError, ZeroDivisionError, AttributeError) as error:
        raise DataError(f"its config.json describes no possible shape: {_first_line(error)}") from error


def _gpt2_shape(stated: Mapping[str, Any]) -> Foreign:
    activation = stated.get("activation_function", "gelu_new")
    _require(activation in {*_TANH, "gelu"}, f"activation_function={activation} is not computed here")
    for key in ("scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn"):
        _require(not stated.get(key), f"{key} is not computed here")
    width = stated["n_embd"]
    config = GPTConfig(
        layers=stated["n_layer"],
        width=width,
        heads=stated["n_head"],
        feed_forward=stated.get("n_inner") or 4 * width,
        positions="learned",
        norm="layernorm",
        norm_epsilon=stated.get("layer_norm_epsilon", 1e-5),
        qk_norm=False,
        activation="gelu",
        bias=True,
        tied_embeddings=stated.get("tie_word_embeddings", True),
    )
    return Foreign(config, stated["vocab_size"], stated["n_positions"], exact_gelu_note(exact=activation == "gelu"))


def exact_gelu_note(*, exact: bool) -> tuple[str, ...]:
    """What is to be said of models that were trained with the exact GELU."""
    if not exact:
        return ()
    return ("It was trained with the exact GELU; here the tanh form is computed, which is at most 0.0005 away.",)


def _rotary_shape(stated: Mapping[str, Any], kind: str) -> Foreign:
    _require(stated.get("hidden_act", "silu") == "silu", f"hidden_act={stated.get('hidden_act')} is not computed here")
    rope = stated.get("rope_parameters") or stated.get("rope_scaling") or {}
    type_ = rope.get("rope_type", rope.get("type", "default"))
    _require(type_ == "default", f"its rotary positions are scaled ({type_}), which is not computed here")
    windowed = stated.get("sliding_window") is not None and stated.get("use_sliding_window", kind == "mistral")
    _require(not windowed, f"it attends to a sliding window of {stated.get('sliding_window')}")
    partial = stated.get("partial_rotary_factor", rope.get("partial_rotary_factor", 1.0))
    _require(partial in {None, 1}, "only a part of each head is rotated")
    heads, width = stated["num_attention_heads"], stated["hidden_size"]
    config = GPTConfig(
        layers=stated["num_hidden_layers"],
        width=width,
        heads=heads,
        kv_heads=stated.get("num_key_value_heads") or heads,
        head_width=stated.get("head_dim") or (128 if kind == "qwen3" else width // heads),
        feed_forward=stated["intermediate_size"],
        norm_epsilon=stated.get("rms_norm_eps", 1e-6),
        rope_base=rope.get("rope_theta") or stated.get("rope_theta") or 10_000.0,
        qk_norm=kind == "qwen3",
        bias=kind == "qwen2" or bool(stated.get("attention_bias")) or bool(stated.get("mlp_bias")),
        tied_embeddings=stated.get("tie_word_embeddings", False),
    )
    return Foreign(config, stated["vocab_size"], stated["max_position_embeddings"])


def from_huggingface(foreign: Foreign, arrays: Arrays) -> dict[str, Array]:
    """Our weights from theirs; raises `DataError` naming what is missing or left over."""
    config, shapes = foreign.config, weight_shapes(foreign.config, foreign.vocabulary, foreign.context)
    prefix = next((one for one in ("transformer.", "model.", "") if any(name.startswith(one) for name in arrays)), "")
    used: set[str] = set()
    found = {}
    for name, shape in shapes.items():
        place, part, turned = _gpt2_place(name) if config.positions == "learned" else (_rotary_place(name), None, False)
        key = place if place in arrays else prefix + place
        if key not in arrays:
            if name.endswith(".bias"):  # others have them in some places only
                found[name] = np.zeros(shape, np.float32)
                continue
            raise DataError(f"the weight {key} is missing")
        used.add(key)
        array = arrays[key]
        array = np.ascontiguousarray(array.T) if turned else array
        found[name] = array if part is None else _third(array, part)
    left = [name for name in arrays if name not in used and not _of_no_weight(name, config)]
    if left:
        raise DataError(f"there are weights that this shape has no place for: {', '.join(sorted(left)[:5])}")
    return found


def _third(array: Array, part: int) -> Array:
    size = len(array) // 3
    return array[part * size : (part + 1) * size]


def _rotary_place(name: str) -> str:
    stem, _, last = name.rpartition(".")
    whole = {"embedding": "embed_tokens", "norm": "norm", "head": "lm_head"}
    if stem in whole:
        return f"{whole[stem]}.{last}"
    _, layer, part = stem.split(".", 2)
    return f"layers.{layer}.{_ROTARY[part]}.{last}"


def _gpt2_place(name: str) -> tuple[str, int | None, bool]:
    """Name there, which third of it, and whether it is turned over."""
    stem, _, last = name.rpartition(".")
    whole = {"embedding": "wte", "position": "wpe", "norm": "ln_f", "head": "lm_head"}
    if stem in whole:
        return f"{whole[stem]}.{last}", None, False
    _, layer, part = stem.split(".", 2)
    if part in _FUSED:
        return f"h.{layer}.attn.c_attn.{last}", _FUSED.index(part), last == "weight"
    return f"h.{layer}.{_GPT2[part]}.{last}", None, f"{_GPT2[part]}.{last}".endswith(_TURNED)


def _of_no_weight(name: str, config: GPTConfig) -> bool:
    """Buffers that older versions saved, and the head of a model whose embedding is the head."""
    buffers = (".attn.bias", ".attn.masked_bias", "rotary_emb.inv_freq")
    return name.endswith(buffers) or (config.tied_embeddings and name.endswith("lm_head.weight"))


def _require(right: bool, otherwise: str) -> None:
    if not right:
        raise DataError(otherwise)


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[min(2, len(lines) - 1)].strip() if lines else type(error).__name__
