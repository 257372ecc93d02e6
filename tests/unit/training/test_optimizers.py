"""AdamW and Muon against the formulas, worked out by hand or in numpy float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from treadle.training.optimizers.config import AdamWConfig, MuonConfig
from treadle.training.optimizers.roles import role
from treadle.training.optimizers.torch_adamw import Group, TorchAdamW
from treadle.training.optimizers.torch_muon import COEFFICIENTS, TorchMuon, momentum_at, orthogonalise


def parameter(values: list[list[float]] | np.ndarray) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.tensor(values, dtype=torch.float32))


def set_gradient(weight: torch.nn.Parameter, values: list[list[float]] | np.ndarray) -> None:
    weight.grad = torch.tensor(values, dtype=torch.float32)


def test_the_first_adamw_step_is_the_rate_in_the_gradients_direction() -> None:
    """At step 1 the corrected moments are g and g^2, so the update is rate * sign(g), after the decay."""
    weight = parameter([[1.0, -2.0]])
    adamw = TorchAdamW([Group({"w": weight}, 0.1, 0.5)], AdamWConfig())
    set_gradient(weight, [[0.3, -0.02]])
    with torch.no_grad():
        adamw.step(1, 1.0)
    # 1 * (1 - 0.1 * 0.5) - 0.1 = 0.85;  -2 * 0.95 + 0.1 = -1.8
    assert weight.tolist()[0] == pytest.approx([0.85, -1.8], abs=1e-6)


def test_adamw_follows_its_formula_over_many_steps_and_rates() -> None:
    config = AdamWConfig(beta1=0.8, beta2=0.9, epsilon=1e-3)
    random = np.random.default_rng(1)
    values = random.normal(size=(3, 4))
    weight, m, v = values.copy(), np.zeros((3, 4)), np.zeros((3, 4))
    tensor = parameter(values)
    adamw = TorchAdamW([Group({}, 1.0, 0.0), Group({"w": tensor}, 0.05, 0.2)], config)
    for step in range(1, 8):
        gradient, scale = random.normal(size=(3, 4)), step / 7
        m, v = 0.8 * m + 0.2 * gradient, 0.9 * v + 0.1 * gradient**2
        rate = 0.05 * scale
        weight = weight * (1 - rate * 0.2) - rate * (m / (1 - 0.8**step)) / (np.sqrt(v / (1 - 0.9**step)) + 1e-3)
        set_gradient(tensor, gradient)
        with torch.no_grad():
            adamw.step(step, scale)
    np.testing.assert_allclose(tensor.detach().numpy(), weight, rtol=1e-5)
    np.testing.assert_allclose(adamw.state()["first_moment/w"].numpy(), m, rtol=1e-5)
    np.testing.assert_allclose(adamw.state()["second_moment/w"].numpy(), v, rtol=1e-5)


def test_one_muon_step_on_a_diagonal_matrix_by_hand() -> None:
    """For a diagonal matrix each singular value goes through the five polynomials by itself."""
    config = MuonConfig(matrix_learning_rate=0.1, matrix_weight_decay=0.5, momentum=0.9, momentum_warmup=1)
    weight = parameter([[1.0, 0.0], [0.0, 1.0]])
    muon = TorchMuon({"w": weight}, config, torch.float32)
    set_gradient(weight, [[3.0, 0.0], [0.0, 4.0]])
    with torch.no_grad():
        muon.step(1, 1.0)
    # m = 0 + 0.1 (g - 0);  x = g + 0.9 (m - g) = 0.19 g;  the norm of x is 0.19 * 5
    expected = []
    largest = (3**8 + 4**8) ** (1 / 8)  # nearly, and never less than it is
    for singular in (3, 4):
        value = singular / largest / 1.01
        for a, b, c in COEFFICIENTS:
            value = a * value + b * value**3 + c * value**5
        expected.append(1 * (1 - 0.1 * 0.5) - 0.1 * value)
    assert torch.diagonal(weight.detach()).tolist() == pytest.approx(expected, abs=1e-5)
    assert muon.state()["momentum/w"].diagonal().tolist() == pytest.approx([0.3, 0.4])


@pytest.mark.parametrize("shape", [(3, 5), (6, 4)])
def test_muon_follows_its_formula_over_many_steps_and_rates(shape: tuple[int, int]) -> None:
    """In float64, by singular values: orth(U s V^T) = U p(s) V^T with p the polynomials one after another."""
    config = MuonConfig(matrix_learning_rate=0.1, matrix_weight_decay=0.3, momentum_warmup=3)
    random = np.random.default_rng(7)
    weight = random.normal(size=shape)
    tensor, m = parameter(weight), np.zeros(shape)
    muon = TorchMuon({"w": tensor}, config, torch.float32)
    for step in range(1, 6):
        gradient, scale = random.normal(size=shape), 1 - step / 10
        mu = 0.85 + 0.1 * min(1, step / 3)
        m = m + (1 - mu) * (gradient - m)
        x = gradient + mu * (m - gradient)
        u, singular, v = np.linalg.svd(x, full_matrices=False)
        singular = singular / (1.01 * (singular**8).sum() ** (1 / 8))
        for a, b, c in COEFFICIENTS:
            singular = a * singular + b * singular**3 + c * singular**5
        rate = 0.1 * scale
        weight = weight * (1 - rate * 0.3) - rate * max(1, shape[0] / shape[1]) ** 0.5 * (u * singular) @ v
        set_gradient(tensor, gradient)
        with torch.no_grad():
            muon.step(step, scale)
    np.testing.assert_allclose(tensor.detach().numpy(), weight, atol=2e-4)
    np.testing.assert_allclose(muon.state()["momentum/w"].numpy(), m, rtol=1e-4)


def test_a_tall_matrix_moves_further_by_the_root_of_its_shape() -> None:
    config = MuonConfig(matrix_learning_rate=1.0, matrix_weight_decay=0.0)
    random = np.random.default_rng(0)
    gradient = random.normal(size=(32, 8))
    moved = {}
    for name, values in (("tall", gradient), ("wide", gradient.T)):
        weight = parameter(np.zeros_like(values))
        muon = TorchMuon({"w": weight}, config, torch.float32)
        set_gradient(weight, values)
        with torch.no_grad():
            muon.step(1, 1.0)
        moved[name] = weight.detach().numpy()
    np.testing.assert_allclose(moved["tall"], 2 * moved["wide"].T, rtol=1e-4, atol=1e-6)  # sqrt(32 / 8) = 2


def test_matrices_of_one_shape_do_not_mix() -> None:
    random = np.random.default_rng(3)
    gradients = [random.normal(size=(4, 6)) for _ in range(3)]
    config = MuonConfig()
    together = {f"w{i}": parameter(np.ones((4, 6))) for i in range(3)}
    together["other"] = parameter(np.ones((5, 2)))
    muon = TorchMuon(together, config, torch.float32)
    for weight, gradient in zip(together.values(), [*gradients, np.ones((5, 2))], strict=True):
        set_gradient(weight, gradient)
    with torch.no_grad():
        muon.step(1, 1.0)
    for index, gradient in enumerate(gradients):
        alone = parameter(np.ones((4, 6)))
        single = TorchMuon({"w": alone}, config, torch.float32)
        set_gradient(alone, gradient)
        with torch.no_grad():
            single.step(1, 1.0)
        torch.testing.assert_close(together[f"w{index}"], alone, rtol=1e-5, atol=1e-6)
        name = f"momentum/w{index}"
        mu = 0.851  # a hundredth of the way from 0.85 to 0.95
        np.testing.assert_allclose(muon.state()[name].numpy(), (1 - mu) * gradient, rtol=1e-4)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(16, 16), (48, 16), (16, 48)])
def test_orthogonalising_brings_all_singular_values_near_one(shape: tuple[int, int], precision: torch.dtype) -> None:
    random = np.random.default_rng(2)
    matrix = torch.tensor(random.normal(size=(2, *shape)), dtype=torch.float32)
    singular = torch.linalg.svdvals(orthogonalise(matrix, precision))
    assert float(singular.min()) > 0.5
    assert float(singular.max()) < 1.3


def test_a_gradient_of_zero_stays_zero() -> None:
    assert float(orthogonalise(torch.zeros(1, 3, 4), torch.float32).abs().max()) == 0


def test_momentum_rises_linearly_and_then_holds() -> None:
    config = MuonConfig(momentum=0.95, momentum_start=0.85, momentum_warmup=100)
    assert momentum_at(config, 50) == pytest.approx(0.9)
    assert momentum_at(config, 100) == momentum_at(config, 5000) == 0.95


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("layers.0.attention.query.weight", (8, 8), "matrix"),
        ("layers.0.attention.query.bias", (8,), "vector"),
        ("embedding.weight", (65, 8), "embedding"),
        ("position.weight", (64, 8), "embedding"),
        ("embedding_norm.weight", (8,), "vector"),
        ("head.weight", (65, 8), "head"),
        ("layers.0.convolution.weight", (8, 3, 3), "head"),
        ("norm.weight", (8,), "vector"),
        ("scale", (), "vector"),
    ],
)
def test_a_weights_role_is_told_from_its_name_and_shape(name: str, shape: tuple[int, ...], expected: str) -> None:
    assert role(name, shape) == expected


def test_the_polynomials_bring_all_but_a_hundredth_of_the_range_within_two_hundredths_of_one() -> None:
    value = np.linspace(0.01, 1, 10_000)
    for a, b, c in COEFFICIENTS:
        value = a * value + b * value**3 + c * value**5
    assert np.abs(value - 1).max() < 0.02
