"""Settings of the optimizers. The learners, native and torch, implement exactly these."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from treadle.config.spec import Spec


class AdamWConfig(Spec):
    """AdamW with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2)."""

    name: Literal["adamw"] = "adamw"
    learning_rate: float = Field(3e-3, gt=0, description="peak rate")
    beta1: float = Field(0.9, ge=0, lt=1, description="decay of the first moment, per step")
    beta2: float = Field(0.95, ge=0, lt=1, description="decay of the second moment, per step")
    epsilon: float = Field(1e-8, gt=0, description="added to the root of the second moment")
    weight_decay: float = Field(
        0.1, ge=0, description="decay of matrices, times the rate; gains, biases, embeddings: none"
    )


class MuonConfig(Spec):
    """Muon (Jordan et al. 2024) on the blocks' matrices, AdamW on embeddings, head, gains and biases.

    A matrix W (out, in) follows -rate * sqrt(max(1, out / in)) * orthogonalised Nesterov momentum.
    """

    name: Literal["muon"] = "muon"
    matrix_learning_rate: float = Field(0.03, gt=0, description="peak rate of the blocks' matrices")
    momentum: float = Field(0.95, ge=0, lt=1, description="decay of the matrices' momentum, per step")
    momentum_start: float = Field(0.85, ge=0, lt=1, description="momentum at step 0; it rises linearly to `momentum`")
    momentum_warmup: int = Field(100, ge=1, description="steps of that rise")
    matrix_weight_decay: float = Field(0.1, ge=0, description="decay of the matrices, times their rate")
    learning_rate: float = Field(5e-3, gt=0, description="peak AdamW rate of head, gains and biases")
    embedding_learning_rate: float = Field(
        5e-2, gt=0, description="peak AdamW rate of embeddings and learned positions"
    )
    beta1: float = Field(0.9, ge=0, lt=1, description="AdamW decay of the first moment, per step")
    beta2: float = Field(0.95, ge=0, lt=1, description="AdamW decay of the second moment, per step")
    epsilon: float = Field(1e-8, gt=0, description="AdamW: added to the root of the second moment")
    weight_decay: float = Field(0.1, ge=0, description="AdamW decay of the head, times the rate")


OptimizerConfig = Annotated[AdamWConfig | MuonConfig, Field(discriminator="name")]
