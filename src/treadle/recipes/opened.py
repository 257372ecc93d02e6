"""A model opened for work: its folder, its data, its checkpoints. The first lines of most recipes."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from treadle.base.errors import NotReadyError, WeightsError
from treadle.data.kept_split import keep_split
from treadle.data.prepared import KINDS_OF_DATA
from treadle.data.tokenizers.tokenizer import save_tokenizer, tokenizer_from_description
from treadle.data.versions import DatasetVersions
from treadle.models.catalog import FAMILIES
from treadle.store.models import ModelCards
from treadle.store.objects import ObjectStore
from treadle.training.checkpoints import CheckpointFolder, ModelRecord
from treadle.training.learners import Network

if TYPE_CHECKING:
    from pathlib import Path

    from treadle.config.settings import Settings
    from treadle.data.prepared import Prepare, Prepared
    from treadle.data.versions import Dataset
    from treadle.models.family import Family
    from treadle.store.models import ModelCard
    from treadle.store.workspace import WorkspaceFolder


@dataclass(frozen=True, slots=True)
class OpenedModel:
    """One model and where its parts lie."""

    card: ModelCard
    folder: Path
    versions: DatasetVersions
    checkpoints: CheckpointFolder

    def dataset(self) -> Dataset:
        """The newest version of its data; raises `NotReadyError` before the first feed."""
        dataset = self.versions.latest()
        if dataset is None or dataset.manifest.documents == 0:
            raise NotReadyError(
                f"`{self.card.name}` has nothing to learn from yet. Feed it: treadle feed {self.card.name} FILES"
            )
        return dataset

    def prepared(self, dataset: Dataset, settings: Settings, *, fix: bool) -> Prepared | None:
        """A version of its data as its family needs them; see `data.prepared`.

        The weights know one tokenizer: where its file is gone it comes back from the newest checkpoint, and where it
        is another one, this raises `WeightsError`.
        """
        family = FAMILIES.get(settings.values()["family"]["name"])
        prepare: Prepare = KINDS_OF_DATA.get(family.needs)
        trained_with = self._tokenizer_of_weights() if family.needs == "tokens" else None
        found = prepare(dataset, self.folder / "tokenizer", settings.data, settings.training.seed, fix=fix)
        if found is not None and trained_with is not None and found.tokenizer != trained_with:
            file = self.folder / "tokenizer" / "tokenizer.json"
            raise WeightsError(
                f"{file} is not the tokenizer that `{self.card.name}` was trained with. "
                "Remove it: the one that its newest checkpoint holds is put in its place."
            )
        return found

    def _tokenizer_of_weights(self) -> Any:  # noqa: ANN401 - the tokenizer's own JSON
        """What the newest checkpoint was trained with, None before the first; puts its file back if it is gone.

        So with the split of the data, of which models from before it was kept have no file.
        """
        newest = next(reversed(self.checkpoints.all()), None)
        if newest is None or newest.record.tokenizer is None:
            return None
        length = (newest.record.settings or {}).get("data", {}).get("sequence_length")
        if length is not None:
            keep_split(self.folder / "tokenizer", length)
        file = self.folder / "tokenizer" / "tokenizer.json"
        if not file.is_file():
            choice = (newest.record.settings or {}).get("data", {}).get("tokenizer", "")
            save_tokenizer(tokenizer_from_description(newest.record.tokenizer), file, choice)
        return newest.record.tokenizer


def open_model(workspace: WorkspaceFolder, name: str) -> OpenedModel:
    """Open a model by name or id; raises `NotFoundError`."""
    cards = ModelCards(workspace)
    card = cards.get(name)
    folder = cards.folder(card)
    versions = DatasetVersions(workspace.datasets / card.id, ObjectStore(workspace.objects))
    return OpenedModel(card, folder, versions, CheckpointFolder(folder / "checkpoints"))


def network_of(settings: Settings, prepared: Prepared) -> Network:
    """The network that these settings make of these data."""
    family = FAMILIES.get(settings.values()["family"]["name"])
    return Network(family, settings.family, prepared.vocabulary, prepared.context)


def writes_text(settings: Settings) -> bool:
    """Whether models of this family continue text."""
    family: Family = FAMILIES.get(settings.values()["family"]["name"])
    return family.needs == "tokens"


def unit_of(settings: Settings) -> str:
    """What the examples of this family are counted in."""
    family: Family = FAMILIES.get(settings.values()["family"]["name"])
    return family.unit


def use_of(settings: Settings, name: str) -> str:
    """A command that uses a trained model."""
    quoted = shlex.quote(name)
    if unit_of(settings) == "clips":
        return f"treadle transfer run PROMPT --host local --backend local-tiny --model {quoted}"
    return f"treadle sample {quoted}" if writes_text(settings) else f"treadle predict {quoted} FILES"


def parameters_of(record: ModelRecord) -> int:
    """How many weights the network of a checkpoint has."""
    family: Family = FAMILIES.get(record.family)
    config = family.config_class().model_validate(dict(record.config))
    shapes = family.weight_shapes(config, record.vocabulary, record.context)
    return sum(math.prod(shape) for shape in shapes.values())


def record_of(settings: Settings, prepared: Prepared) -> ModelRecord:
    """What a checkpoint says about the model."""
    family = settings.values()["family"]
    return ModelRecord(
        family=family["name"],
        config=family,
        vocabulary=prepared.vocabulary,
        context=prepared.context,
        tokenizer=prepared.tokenizer,
        settings=settings.to_dict(),
    )
