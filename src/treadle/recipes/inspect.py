"""How a model reads a text: the loss and the rank of each token, as a table and as pictures."""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from treadle.base.errors import MissingExtraError, UsageError
from treadle.generation.engine import Rows
from treadle.models.catalog import FAMILIES
from treadle.recipes.opened_engine import open_sampling
from treadle.recipes.pictures import check_target, draw_attention, draw_text, visible
from treadle.registry.catalogue import load

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from treadle.data.tokenizers.tokenizer import Tokenizer
    from treadle.recipes.opened_engine import OpenedSampling
    from treadle.store.workspace import WorkspaceFolder
    from treadle.training.checkpoints import Checkpoint

_MOST_SQUARES = 400
"""Of a picture of attention: layers times heads."""
_MOST_TOKENS = 128
"""Of which shares of attention are told as numbers: they grow with the square."""


def inspect(
    workspace: WorkspaceFolder,
    name: str,
    text: str,
    which: str,
    *,
    plot: Path | None = None,
    attention: Path | None = None,
    layer: int | None = None,
) -> dict[str, Any]:
    """Read `text` after the boundary that a document begins with; the fields of the operation's report.

    With `layer` (1 = the first) the shares of its heads are part of it. Computed in fp32, so that a figure does not
    hang on how weights are packed for sampling.
    """
    for picture in (plot, attention):
        if picture is not None:
            check_target(picture)
    opened = open_sampling(workspace, name, which, ["generation.precision=fp32"])
    try:
        tokenizer = opened.tokenizer
        ids = [tokenizer.boundary, *tokenizer.encode(text).tolist()]
        _check_length(len(ids) - 1, opened.engine.context)
        if layer is not None and len(ids) - 1 > _MOST_TOKENS:
            raise UsageError(
                f"The text has {len(ids) - 1:,} tokens; maps are made of {_MOST_TOKENS} at most. Give a shorter one."
            )
        tokens = _tokens(opened, ids)
        facts = {"engine": opened.engine.name, "precision": opened.engine.precision}
    finally:
        opened.engine.close()
    checkpoint = opened.checkpoint
    total = sum(token["loss"] for token in tokens)
    title = f"{opened.card.name}, step {checkpoint.step:,}"
    if plot is not None:
        draw_text(tokens, f"{title}: nats for each token; below it, its rank among the guesses", plot)
    if attention is not None:
        shown = [visible(tokenizer.decode([id_])) if id_ != tokenizer.boundary else "|" for id_ in ids]
        _check_squares(checkpoint)
        maps = attention_maps(checkpoint, ids)
        said = "what each token (row) attends to (column)"
        draw_attention(maps, shown[: maps.shape[-1]], f"{title}: {said}", attention)
    return {
        "model": opened.card.name,
        "step": checkpoint.step,
        "checkpoint": str(checkpoint.path),
        **facts,
        "loss": total / len(tokens),
        "bits_per_byte": total / math.log(2) / max(1, len(text.encode())),
        "tokens": tokens,
        "pictures": [str(picture) for picture in (plot, attention) if picture is not None],
        **({} if layer is None else _shares(checkpoint, ids, layer)),
    }


def _shares(checkpoint: Checkpoint, ids: list[int], layer: int) -> dict[str, Any]:
    """What each head of one layer attends to, as plain numbers: of each row only what the token can see."""
    maps = attention_maps(checkpoint, ids)
    if not 1 <= layer <= len(maps):
        raise UsageError(f"There is no layer {layer}; this model has layers 1 to {len(maps)}.")
    heads = [
        [[round(share, 4) for share in row[: place + 1]] for place, row in enumerate(head)]
        for head in maps[layer - 1].tolist()
    ]
    return {"layers": len(maps), "maps": heads}


def _check_length(count: int, context: int) -> None:
    if not count:
        raise UsageError("There is no text to look at; give some with --text.")
    if count > context:
        raise UsageError(f"The text has {count:,} tokens; the model reads {context:,} at a time. Give a shorter one.")


def _tokens(opened: OpenedSampling, ids: list[int]) -> list[dict[str, Any]]:
    rows = Rows.of([(id_, 0, place, True) for place, id_ in enumerate(ids[:-1])])
    logits = opened.engine.step(rows).astype(np.float64)  # (T, V)
    logits -= logits.max(-1, keepdims=True)
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return [_token(opened.tokenizer, logs[place], id_) for place, id_ in enumerate(ids[1:])]


def _token(tokenizer: Tokenizer, logs: NDArray[np.float64], id_: int) -> dict[str, Any]:
    likeliest = int(logs.argmax())
    return {
        "id": id_,
        "text": tokenizer.decode([id_]),
        "loss": float(-logs[id_]),
        "rank": int((logs > logs[id_]).sum()) + 1,
        "likeliest": "" if likeliest == tokenizer.boundary else tokenizer.decode([likeliest]),
        "probability": float(np.exp(logs[likeliest])),
    }


def _check_squares(checkpoint: Checkpoint) -> None:
    config = checkpoint.record.config
    squares = config.get("layers", 0) * config.get("heads", 0)
    if squares > _MOST_SQUARES:
        raise UsageError(f"{squares} layers and heads do not fit into one picture; {_MOST_SQUARES} do.")


def attention_maps(checkpoint: Checkpoint, ids: list[int]) -> NDArray[np.float32]:
    """How each head of each layer spreads its attention: (layers, heads, T, T), by the torch reference."""
    record = checkpoint.record
    family = FAMILIES.get(record.family)
    config = family.config_class().model_validate(record.config)
    if record.family != "gpt":
        raise UsageError(f"Models of the family {record.family} have no attention over a text; leave --attention out.")
    if find_spec("torch") is None:
        raise MissingExtraError("Attention is shown by torch, which is not installed: pip install 'treadle[torch]'")
    weights = checkpoint.weights(family.weight_shapes(config, record.vocabulary, record.context))
    found: NDArray[np.float32] = load("treadle.models.gpt.attention_maps:attention_maps")(
        config, record.vocabulary, record.context, weights, ids
    )
    return found
