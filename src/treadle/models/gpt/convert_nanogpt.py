"""A gpt model as nanoGPT's `ckpt.pt` keeps it: the shape of GPT-2, with or without biases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from treadle.base.errors import DataError
from treadle.models.gpt.config import GPTConfig
from treadle.models.gpt.convert_huggingface import Foreign, exact_gelu_note
from treadle.models.gpt.weights import weight_shapes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

_COMPILED: Final = "_orig_mod."
_PARTS: Final = {
    "attention_norm": "ln_1",
    "attention.output": "attn.c_proj",
    "feed_forward_norm": "ln_2",
    "feed_forward.up": "mlp.c_fc",
    "feed_forward.down": "mlp.c_proj",
}
_FUSED: Final = ("attention.query", "attention.key", "attention.value")
_WHOLE: Final = {"embedding": "wte", "position": "wpe", "norm": "ln_f"}


def shape_of(arguments: Mapping[str, Any]) -> Foreign:
    """Read the `model_args` of a checkpoint; raises `DataError` for what they do not say."""
    try:
        config = GPTConfig(
            layers=arguments["n_layer"],
            width=arguments["n_embd"],
            heads=arguments["n_head"],
            positions="learned",
            norm="layernorm",
            norm_epsilon=1e-5,
            qk_norm=False,
            activation="gelu",
            bias=arguments["bias"],
            tied_embeddings=True,
        )
        return Foreign(config, arguments["vocab_size"], arguments["block_size"], exact_gelu_note(exact=True))
    except KeyError as error:
        raise DataError(f"its model_args do not say {error}") from error
    except (TypeError, ValueError) as error:
        raise DataError(f"its model_args describe no possible shape: {str(error).partition(chr(10))[0]}") from error


def from_nanogpt(foreign: Foreign, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Our weights from its state dict, which a compiled model has saved under longer names."""
    plain = {name.removeprefix(_COMPILED): array for name, array in arrays.items()}
    found = {}
    for name in weight_shapes(foreign.config, foreign.vocabulary, foreign.context):
        stem, _, last = name.rpartition(".")
        if stem in _WHOLE:
            found[name] = _taken(plain, f"transformer.{_WHOLE[stem]}.{last}")
            continue
        _, layer, part = stem.split(".", 2)
        block = f"transformer.h.{layer}"
        if part in _FUSED:
            fused = _taken(plain, f"{block}.attn.c_attn.{last}")
            size, which = len(fused) // 3, _FUSED.index(part)
            found[name] = np.ascontiguousarray(fused[which * size : (which + 1) * size])
        else:
            found[name] = _taken(plain, f"{block}.{_PARTS[part]}.{last}")
    return found


def _taken(arrays: Mapping[str, Array], name: str) -> Array:
    if name not in arrays:
        raise DataError(f"the weight {name} is missing")
    return arrays[name]
