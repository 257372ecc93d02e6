"""Settings of training. No torch, no numpy: forms, flags and `config show` read them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from treadle.config.spec import Spec
from treadle.training.optimizers.config import MuonConfig, OptimizerConfig


def _switch(value: object) -> object:
    """YAML reads `on` and `off` as true and false."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


class TrainingSettings(Spec):
    """How a model is trained. Everything counted in steps means optimizer steps."""

    default_minutes: float = Field(3.0, gt=0, description="minutes of a training that is given no length")
    batch_size: int = Field(16, ge=1, description="examples of one micro-batch")
    accumulation: int = Field(1, ge=1, description="micro-batches of one step; their gradients equal one big batch's")
    optimizer: OptimizerConfig = Field(MuonConfig(), description="rule that turns gradients into updates")
    clip: float = Field(1.0, ge=0, description="largest global gradient norm; 0 = no clipping")
    warmup_steps: int = Field(10, ge=0, description="steps over which the rate rises linearly to its peak")
    cooldown: float = Field(
        0.5, ge=0, lt=1, description="last share of the budget, over which the rate falls linearly to 0; 0 = none"
    )
    seed: int = Field(1, ge=0, lt=2**63, description="seed of first weights, reading order and dropout")
    learner: Literal["auto", "native", "torch"] = Field(
        "auto", description="what computes the steps; auto = native where the family and machine allow it, else torch"
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto",
        description="arithmetic of the products; auto = what a short trial finds faster (weights stay fp32); "
        "fp16 is for cards without bf16 (torch learner)",
    )
    device: Literal["cpu", "cuda", "mps"] = Field(
        "cpu", description="what computes: the processor, or a graphics card through the torch learner"
    )
    compile: bool = Field(
        default=False, description="compile each block (torch learner): faster steps after a first one of a minute"
    )
    activation_checkpointing: bool = Field(
        default=False, description="keep only the input of each block and compute the rest again (torch learner)"
    )
    threads: int = Field(0, ge=0, description="processor threads; 0 = all that this process may use")
    evaluate_every: int = Field(
        100, ge=0, description="steps between evaluations on held-out data; 0 = only at the end"
    )
    evaluation_examples: int = Field(
        256, ge=0, description="most held-out examples of one evaluation, spread evenly, always the same; 0 = all"
    )
    early_stopping: int = Field(0, ge=0, description="stop after this many evaluations without a new best; 0 = off")
    checkpoint_every: int = Field(500, ge=0, description="steps between checkpoints; 0 = by minutes only")
    checkpoint_minutes: float = Field(
        5.0, ge=0, description="minutes after which a checkpoint is due; 0 = by steps only"
    )
    keep_last: int = Field(
        2, ge=1, description="newest checkpoints to keep, beside the best, the stem and the cooled one"
    )
    keep_best: bool = Field(
        default=True, description="write a checkpoint at each new best held-out loss, and keep the best one"
    )
    sample_every: int = Field(500, ge=0, description="steps between samples shown while training; 0 = not by steps")
    sample_minutes: float = Field(0.0, ge=0, description="minutes between samples, after an early one; 0 = not by time")
    recoveries: int = Field(
        3, ge=0, description="times a run may go back after a loss that is not a number; 0 = stop at once"
    )
    auto_train: Annotated[Literal["on", "off"] | Annotated[int, Field(ge=1)], BeforeValidator(_switch)] = Field(
        "off",
        description="train what was fed by itself, once, in order of arrival: on = as soon as there is a whole batch,"
        " a number = as soon as so many tokens wait, off = only when told to",
    )
    tensorboard: bool = Field(default=False, description="write TensorBoard curves (needs the extra `tensorboard`)")

    @property
    def examples_per_step(self) -> int:
        """Examples that one optimizer step reads."""
        return self.batch_size * self.accumulation
