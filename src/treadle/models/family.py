"""What a kind of network is: a folder of the same few files, known by dotted names and imported on use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from treadle.registry.catalogue import load

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from treadle.config.spec import Spec


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of network. Making one imports nothing; each method imports what its dotted name points to."""

    name: str
    summary: str
    """One line for lists and forms."""
    needs: str
    """Kind of data it learns from, such as `tokens`."""
    config: str
    """Dotted name of the settings class (torch-free, numpy-free)."""
    shapes: str
    """Dotted name of `weight_shapes(config, vocabulary, context) -> dict[name, shape]` (torch-free, numpy-free)."""
    start: str
    """Dotted name of `initial_weights(config, vocabulary, context, seed) -> dict[name, float32 array]` (torch-free)."""
    model: str
    """Dotted name of `build(config, vocabulary, context, attention="plain") -> torch module`."""

    @property
    def unit(self) -> str:
        """What its examples are counted in: `tokens`, `pictures`, `clips`."""
        return {"labelled_images": "pictures"}.get(self.needs, self.needs)

    def config_class(self) -> type[Spec]:
        """The settings class."""
        found: type[Spec] = load(self.config)
        return found

    def weight_shapes(self, config: Spec, vocabulary: int, context: int) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight, in a fixed order."""
        found: dict[str, tuple[int, ...]] = load(self.shapes)(config, vocabulary, context)
        return found

    def initial_weights(self, config: Spec, vocabulary: int, context: int, seed: int) -> dict[str, NDArray[np.float32]]:
        """Weights before the first step; the same seed gives the same bits to every learner."""
        found: dict[str, NDArray[np.float32]] = load(self.start)(config, vocabulary, context, seed)
        return found

    def build_model(self, config: Spec, vocabulary: int, context: int, attention: str = "plain") -> Any:  # noqa: ANN401 - a torch module; this file knows no torch
        """Build the torch module; its state dict has exactly the names and shapes of `weight_shapes`."""
        return load(self.model)(config, vocabulary, context, attention)
