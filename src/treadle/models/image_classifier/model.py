"""The image_classifier family in torch.

Symbols in shapes: B batch, S edge in pixels, P positions (places of the feature map, or patches), C width, K classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from treadle.models.image_classifier.weights import KERNEL
from treadle.models.patch_layers import Attention, FeedForward

if TYPE_CHECKING:
    from treadle.models.image_classifier.config import ImageClassifierConfig

_GREY = (0.299, 0.587, 0.114)
"""How much of the brightness is red, green and blue (ITU-R BT.601)."""


def build(config: ImageClassifierConfig, vocabulary: int, context: int, attention: str = "plain") -> ImageClassifier:  # noqa: ARG001 - every family's signature
    """Build the module for `vocabulary` classes and pictures of `context` pixels a side."""
    return ImageClassifier(config, vocabulary, context)


class Convolution(nn.Module):  # type: ignore[misc]  # torch is not followed: its Module is Any
    """A 3 x 3 convolution whose weight is kept as a matrix (out, in x 9)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.inputs, self.stride = inputs, stride
        self.weight = nn.Parameter(torch.zeros(outputs, inputs * KERNEL**2))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.view(-1, self.inputs, KERNEL, KERNEL)
        return functional.conv2d(x, weight, self.bias, stride=self.stride, padding=KERNEL // 2)


class Stem(nn.Module):  # type: ignore[misc]  # torch is not followed: its Module is Any
    """Two convolutions that halve the edge, each: (B, channels, S, S) to (B, C, S / 4, S / 4)."""

    def __init__(self, config: ImageClassifierConfig) -> None:
        super().__init__()
        self.first = Convolution(config.channels, config.width // 2, 2)
        self.second = Convolution(config.width // 2, config.width, 2)

    def forward(self, x: Tensor) -> Tensor:
        return cast("Tensor", self.second(functional.gelu(self.first(x))))


class ConvolutionBlock(nn.Module):  # type: ignore[misc]  # torch is not followed: its Module is Any
    """Norm over channels, convolution, GELU, and a linear map back to the residual stream."""

    def __init__(self, config: ImageClassifierConfig) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.norm = nn.RMSNorm(config.width, eps=config.norm_epsilon)
        self.convolution = Convolution(config.width, config.width, 1)
        self.output = nn.Linear(config.width, config.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Take and give (B, C, H, W), stored with the channels last."""
        inner = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        inner = functional.gelu(self.convolution(inner)).permute(0, 2, 3, 1)
        return x + functional.dropout(self.output(inner), self.dropout, self.training).permute(0, 3, 1, 2)


class AttentionBlock(nn.Module):  # type: ignore[misc]  # torch is not followed: its Module is Any
    """Attention, then feed-forward; each is normalised before it and added to the residual stream."""

    def __init__(self, config: ImageClassifierConfig) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.attention_norm = nn.RMSNorm(config.width, eps=config.norm_epsilon)
        self.attention = Attention(config.width, config.heads)
        self.feed_forward_norm = nn.RMSNorm(config.width, eps=config.norm_epsilon)
        self.feed_forward = FeedForward(config.width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + functional.dropout(self.attention(self.attention_norm(x)), self.dropout, self.training)
        return x + functional.dropout(self.feed_forward(self.feed_forward_norm(x)), self.dropout, self.training)


class ImageClassifier(nn.Module):  # type: ignore[misc]  # torch is not followed: its Module is Any
    """A stem, blocks on a residual stream, the mean over all positions, and a linear head."""

    def __init__(self, config: ImageClassifierConfig, classes: int, edge: int) -> None:
        super().__init__()
        self.config, self.classes, self.edge = config, classes, edge
        if config.network == "cnn":
            self.stem = Stem(config)
            self.layers = nn.ModuleList(ConvolutionBlock(config) for _ in range(config.layers))
        else:
            self.stem = nn.Linear(config.channels * config.patch**2, config.width)
            self.position = nn.Embedding(config.patches(edge), config.width)
            self.layers = nn.ModuleList(AttentionBlock(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.width, eps=config.norm_epsilon)
        self.head = nn.Linear(config.width, classes)

    def forward(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Sum the loss in nats over pictures (B, S, S, channels) of the classes `targets` (B); and count them."""
        loss = functional.cross_entropy(self.logits(inputs), targets.long(), reduction="sum")
        return loss, torch.tensor(len(targets))

    def measure(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, dict[str, float]]:
        """The summed loss, and how often which class was taken for which: `answered TRUE/GUESS`, and `correct`."""
        logits = self.logits(inputs)
        sums: dict[str, float] = {"correct": 0.0}
        for truth, guess in zip(targets.tolist(), logits.argmax(-1).tolist(), strict=True):
            sums["correct"] += truth == guess
            key = f"answered {truth}/{guess}"
            sums[key] = sums.get(key, 0.0) + 1
        return functional.cross_entropy(logits, targets.long(), reduction="sum"), sums

    def logits(self, inputs: Tensor) -> Tensor:
        """Score every class for uint8 pictures (B, S, S, 1 or 3): (B, K) in fp32."""
        x = self.seen(inputs)  # (B, channels, S, S)
        x = self.features(x)
        x = functional.dropout(self.norm(x), self.config.dropout, self.training)
        return cast("Tensor", self.head(x).float())

    def seen(self, inputs: Tensor) -> Tensor:
        """Bring pictures to -1..1 and to as many channels as the network has, channels first."""
        x = inputs.float() / 127.5 - 1
        if x.shape[-1] == 3 and self.config.channels == 1:
            x = (x * torch.tensor(_GREY)).sum(-1, keepdim=True)
        return x.expand(*x.shape[:-1], self.config.channels).permute(0, 3, 1, 2)

    def features(self, x: Tensor) -> Tensor:
        """Turn pictures (B, channels, S, S) into one vector each, (B, C)."""
        if self.config.network == "cnn":
            x = self.stem(x).contiguous(memory_format=torch.channels_last)
            for layer in self.layers:
                x = layer(x)
            return x.mean((2, 3))
        patch = self.config.patch
        short = -x.shape[-1] % patch
        x = functional.pad(x, (0, short, 0, short), value=-1.0)
        patches = functional.unfold(x, patch, stride=patch).transpose(1, 2)  # (B, P, channels x patch x patch)
        x = self.stem(patches) + self.position.weight
        for layer in self.layers:
            x = layer(x)
        return x.mean(1)


def probabilities(module: Any, inputs: Tensor) -> Tensor:  # noqa: ANN401 - an ImageClassifier, which torch makes Any
    """How likely each class is, (B, K); evaluates without dropout."""
    module.eval()
    with torch.inference_mode():
        return cast("Tensor", module.logits(inputs).softmax(-1))
