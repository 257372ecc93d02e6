"""Growth against going on without it: a `nano` gpt on Shakespeare's characters, 300 steps, then 200 more, three seeds.

    python benchmarks/growth.py

Prints held-out losses before, right after, and 200 steps later: without growth, with two new layers spread, appended.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from treadle.config.compose import Sources, compose
from treadle.data.bundled.texts import bundled_text
from treadle.data.prepared import KINDS_OF_DATA
from treadle.data.readers.walk import read_paths
from treadle.data.versions import DatasetVersions
from treadle.models.catalog import FAMILIES
from treadle.models.growth import grown_moments, grown_weights, places_of_old_layers
from treadle.store.objects import ObjectStore
from treadle.training.evaluation import evaluate
from treadle.training.learner import Update
from treadle.training.learners import Network, open_learner

if TYPE_CHECKING:
    from treadle.config.settings import Settings
    from treadle.data.prepared import Prepared
    from treadle.training.learner import Learner

FIRST, MORE, NEW_LAYERS = 300, 200, 2
PLAIN = "without growth"


def settings_for(seed: int, layers: int | None = None) -> Settings:
    flags = ["size=nano", "data.tokenizer=char", f"training.seed={seed}", "training.precision=fp32"]
    return compose(Sources(flags=flags + ([] if layers is None else [f"family.layers={layers}"])))


def learner_for(settings: Settings, prepared: Prepared) -> tuple[Learner, Any]:
    network = Network(FAMILIES.get("gpt"), settings.family, prepared.vocabulary, prepared.context)
    learner = open_learner(network, settings.training)
    start = network.family.initial_weights(network.config, network.vocabulary, network.context, settings.training.seed)
    learner.load_weights(start)
    moments = learner.optimizer_state()
    learner.load_optimizer_state({name: np.zeros_like(array) for name, array in moments.items()})
    return learner, start


def train(learner: Learner, prepared: Prepared, settings: Settings, first: int, last: int, *, warm: bool) -> None:
    """Steps after `first` up to `last`: rising over ten if `warm`, falling to 0 over the last 80 %."""
    size, span = settings.training.batch_size, last - first
    for step in range(first + 1, last + 1):
        rate = min(1.0, (last - step + 1) / (0.8 * span))
        if warm:
            rate = min(rate, (step - first) / 10)
        learner.step([prepared.loader.batch((step - 1) * size, size)], Update(step, rate, settings.training.clip))


def held_out(learner: Learner, prepared: Prepared) -> float:
    found = evaluate(learner, prepared.loader, 64, 512)
    return float("nan") if found is None else found.loss


def measure(seed: int, folder: Path) -> dict[str, float]:
    settings = settings_for(seed)
    versions = DatasetVersions(folder / "data", ObjectStore(folder / "objects"))
    dataset = versions.latest() or versions.add(read_paths([bundled_text("shakespeare")]))
    prepare = KINDS_OF_DATA.get("tokens")
    prepared = prepare(dataset, folder / "model", settings.data, seed, fix=True)
    learner, _ = learner_for(settings, prepared)
    train(learner, prepared, settings, 0, FIRST, warm=True)
    weights, moments = learner.weights(), learner.optimizer_state()
    found = {"seed": seed, "before": held_out(learner, prepared)}
    train(learner, prepared, settings, FIRST, FIRST + MORE, warm=False)
    found[PLAIN] = held_out(learner, prepared)
    learner.close()
    layers = settings.family.layers
    for placing in ("spread", "end"):
        larger = settings_for(seed, layers + NEW_LAYERS)
        learner, start = learner_for(larger, prepared)
        places = places_of_old_layers(layers, layers + NEW_LAYERS, placing)
        grown = grown_weights(weights, start, places)
        learner.load_weights(grown)
        learner.load_optimizer_state(grown_moments(moments, grown, places))
        found[f"{placing}: right after"] = held_out(learner, prepared)
        train(learner, prepared, larger, FIRST, FIRST + MORE, warm=True)
        found[placing] = held_out(learner, prepared)
        learner.close()
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for seed in (1, 2, 3):
            print(json.dumps(measure(seed, Path(folder))), flush=True)
