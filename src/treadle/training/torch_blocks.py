"""What may be done to the blocks of a torch module before training: compile each, or keep only its input.

Whole modules are left alone: blocks are alike, so one is compiled once, and nothing outside them is worth it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.utils.checkpoint import checkpoint

from treadle.base.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from treadle.training.config import TrainingSettings


def prepare_blocks(module: Any, settings: TrainingSettings) -> None:  # noqa: ANN401 - a torch module
    """Do what `training.activation_checkpointing` and `training.compile` ask for; without blocks raise `UsageError`."""
    if not (settings.activation_checkpointing or settings.compile):
        return
    blocks: Sequence[Any] = getattr(module, "layers", ())
    if not len(blocks):
        raise UsageError(
            "This network has no blocks to compile or to compute again; leave training.compile and "
            "training.activation_checkpointing off."
        )
    for block in blocks:
        if settings.activation_checkpointing:
            _compute_again(block)
        if settings.compile:
            block.compile(dynamic=False)


def _compute_again(block: Any) -> None:  # noqa: ANN401 - a torch module
    """Have the block keep its input only, and compute the rest once more when gradients are wanted."""
    whole = block.forward

    def forward(*inputs: Any) -> Any:  # noqa: ANN401 - as the block's own
        if block.training and torch.is_grad_enabled():
            return checkpoint(whole, *inputs, use_reentrant=False)
        return whole(*inputs)

    block.forward = forward
