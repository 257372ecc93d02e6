"""Shape of an image classifier. No torch, no numpy: forms, flags and `config show` read it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from treadle.config.spec import Spec


class ImageClassifierConfig(Spec):
    """A small convolutional network, or a small vision transformer, that says what a picture shows."""

    name: Literal["image_classifier"] = "image_classifier"
    network: Literal["cnn", "vit"] = Field("cnn", description="cnn = convolutions; vit = a transformer over patches")
    layers: int = Field(4, ge=1, description="number of blocks")
    width: int = Field(64, ge=8, description="width of the residual stream, in channels")
    heads: int = Field(4, ge=1, description="number of attention heads (vit only)")
    patch: int = Field(4, ge=1, description="edge of one patch, in pixels (vit only)")
    channels: Literal[1, 3] = Field(1, description="1 = pictures are seen in grey, 3 = in colour")
    norm_epsilon: float = Field(1e-6, gt=0, description="added to the mean square in each norm")
    dropout: float = Field(
        0.0, ge=0, lt=1, description="share of the pooled features and of block outputs dropped, while training"
    )

    @model_validator(mode="after")
    def _shape_is_possible(self) -> Self:
        if self.width % 2:
            raise ValueError(f"width {self.width} is not even; the first convolution has half of it")
        if self.network == "vit" and self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self

    def patches(self, edge: int) -> int:
        """Number of patches of a picture of `edge` x `edge` pixels, the last ones filled up with black."""
        return (-(-edge // self.patch)) ** 2
