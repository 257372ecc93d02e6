"""What Muon makes of a gradient: its singular vectors stay, its singular values come near one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from treadle.models.gpt.config import GPTConfig
from treadle.models.gpt.native_shape import native_shape
from treadle.native.binding import Algorithm, Kind, Plan, Precision, Rule, Trainer, UpdateSettings
from treadle.training.optimizers.torch_muon import COEFFICIENTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONFIG = GPTConfig(layers=1, width=192, heads=3)
SPECTRA = {
    "flat": np.ones,
    "falling": lambda size: 1 / np.arange(1, size + 1),
    "steep": lambda size: np.exp(-9 * np.arange(size) / size),
    "of one direction": lambda size: np.eye(1, size)[0],
}
WEIGHTS = ["attention.query", "feed_forward.up", "feed_forward.down"]  # square, tall, wide


def gradient(shape: tuple[int, ...], spectrum: str) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Random singular vectors with the singular values wanted."""
    random = np.random.default_rng(1)
    size = min(shape)
    left, _ = np.linalg.qr(random.standard_normal((shape[0], size)))
    right, _ = np.linalg.qr(random.standard_normal((shape[1], size)))
    return left, SPECTRA[spectrum](size), right.T


def updates(gradients: dict[str, NDArray[Any]], precision: Precision) -> dict[str, NDArray[np.float32]]:
    """What each matrix of weights of zero becomes by one step of rate 1 without momentum."""
    trainer = Trainer(native_shape(CONFIG, 32, 16), Plan(precision, 2, 2, 64))
    tokens = np.zeros((1, 16), np.int32)
    trainer.repack()
    trainer.backward(tokens, tokens, loss_scale=0.0, first=True)
    trainer.gradient_norm()
    rules = []
    for parameter in trainer.parameters:
        wanted = gradients.get(parameter.name)
        if wanted is not None:
            trainer.write(parameter.name, wanted.astype(np.float32), Kind.GRADIENT)
        rules.append(Rule(Algorithm.ADAMW if wanted is None else Algorithm.MUON, 0.0 if wanted is None else 1.0, 0.0))
    trainer.update(UpdateSettings(1, 1.0, beta1=0.9, beta2=0.95, epsilon=1e-8, momentum=0.0), rules)
    found = {name: -trainer.read(name) for name in gradients}
    trainer.close()
    return found


@pytest.mark.parametrize("precision", list(Precision))
@pytest.mark.parametrize("spectrum", SPECTRA)
def test_singular_values_follow_the_polynomials_and_none_grows_wild(spectrum: str, precision: Precision) -> None:
    names = [f"layers.0.{name}.weight" for name in WEIGHTS]
    shapes = {parameter: (192, 192) if "query" in parameter else (512, 192) for parameter in names}
    shapes[names[2]] = (192, 512)
    parts = {name: gradient(shape, spectrum) for name, shape in shapes.items()}
    found = updates({name: (u * s) @ v for name, (u, s, v) in parts.items()}, precision)
    for name, (u, s, v) in parts.items():
        outputs, inputs = shapes[name]
        update = found[name] / max(1, outputs / inputs) ** 0.5
        value = s / (1.01 * (s**8).sum() ** 0.125)
        for a, b, c in COEFFICIENTS:
            value = a * value + b * value**3 + c * value**5
        assert np.linalg.svd(update, compute_uv=False).max() < 1.3
        # Where one value stands far above the others it is 1 = 30 - 29, of which bfloat16 keeps eight bits.
        near = {Precision.FLOAT32: 1e-3, Precision.BFLOAT16: 0.25}[precision]
        assert np.abs(np.diag(u.T @ update @ v.T) - value).max() < near


def test_a_gradient_of_zero_moves_nothing() -> None:
    found = updates({"layers.0.feed_forward.up.weight": np.zeros((512, 192))}, Precision.BFLOAT16)
    assert not found["layers.0.feed_forward.up.weight"].any()
