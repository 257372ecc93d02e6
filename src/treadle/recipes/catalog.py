"""The kinds of job: which recipe carries one out, and what its payload looks like."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from treadle.base.errors import DataError
from treadle.registry.catalogue import Catalogue, load

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of job, by dotted names."""

    recipe: str
    """A function `run(context, payload) -> dict`."""
    payload: str
    """The frozen dataclass that stands beside the operation."""
    discard: str | None = None
    """A function `discard(workspace, run_id, payload)` that moves partial work to the trash; it imports little."""
    left: str | None = None
    """A function `left(workspace, run_id, payload) -> str` that ends what a job without a process has left running on
    another machine, and returns what is to be said of that; empty where nothing is."""
    ahead: str | None = None
    """A function `ahead()` that a process which waits for its orders calls: what every run of this kind needs."""

    def validate(self, payload: Mapping[str, Any]) -> Any:  # noqa: ANN401 - the payload's class is the kind's own
        """Turn stored JSON into the payload object, refusing unknown and mistyped fields."""
        from pydantic import ValidationError

        cls = load(self.payload)
        unknown = set(payload) - {field.name for field in dataclasses.fields(cls)}
        if unknown:
            raise DataError(f"The request is damaged: it has unknown fields {', '.join(sorted(unknown))}.")
        try:
            return _adapter(cls).validate_python(dict(payload))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise DataError(f"The request is damaged at `{place}`: {first['msg']}.") from error

    def prepare(self) -> None:
        """Import and build what a run of this kind needs, before it is known what is to be done."""
        load(self.recipe)
        _adapter(load(self.payload))
        if self.ahead is not None:
            load(self.ahead)()


@cache
def _adapter(cls: type) -> Any:  # noqa: ANN401 - a TypeAdapter of the payload's class
    from pydantic import TypeAdapter

    return TypeAdapter(cls)


FEED = Kind("treadle.recipes.feed:run", "treadle.operations.data:FeedPayload")
TRAIN = Kind(
    "treadle.recipes.train:run",
    "treadle.operations.training:TrainPayload",
    "treadle.recipes.discarded:checkpoints",
    ahead="treadle.recipes.train_ahead:ahead",
)
EVALUATE = Kind("treadle.recipes.evaluate:run", "treadle.operations.training:EvaluatePayload")
EXPERIMENT = Kind("treadle.recipes.experiment:run", "treadle.operations.experiments:ExperimentPayload")
DATA_ADD = Kind("treadle.recipes.dataset_add:run", "treadle.operations.datasets:DataAddPayload")
CRAWL = Kind("treadle.recipes.crawl:run", "treadle.operations.crawl:CrawlPayload")

VIDEO_TOOLS = (
    "controls",
    "interpolate",
    "smooth",
    "deflicker",
    "chunk",
    "stitch",
    "coherence",
    "compare",
    "from-images",
)
GALLERY_COMPARE = Kind("treadle.recipes.gallery_compare:run", "treadle.operations.gallery:GalleryComparePayload")
VIDEO = Kind("treadle.recipes.video:run", "treadle.operations.video:VideoPayload")

_LEFT = "treadle.recipes.host_runs:left"
TRANSFER = Kind("treadle.recipes.transfer_run:run", "treadle.operations.transfer:TransferPayload", left=_LEFT)
PROMPT_ENHANCE = Kind(
    "treadle.recipes.prompts_on_host:run", "treadle.operations.prompts:PromptEnhancePayload", left=_LEFT
)
HOST_IMAGE = Kind("treadle.recipes.host_image:run", "treadle.operations.host_work:HostImagePayload", left=_LEFT)
HOST_CHECKPOINTS = Kind(
    "treadle.recipes.host_checkpoints:run", "treadle.operations.host_work:HostCheckpointsPayload", left=_LEFT
)

KINDS = Catalogue(
    "job kind",
    {
        "feed": "treadle.recipes.catalog:FEED",
        "train": "treadle.recipes.catalog:TRAIN",
        "data.add": "treadle.recipes.catalog:DATA_ADD",
        "evaluate": "treadle.recipes.catalog:EVALUATE",
        "crawl": "treadle.recipes.catalog:CRAWL",
        "experiment": "treadle.recipes.catalog:EXPERIMENT",
        "gallery.compare": "treadle.recipes.catalog:GALLERY_COMPARE",
        "prompt.enhance": "treadle.recipes.catalog:PROMPT_ENHANCE",
        "transfer.run": "treadle.recipes.catalog:TRANSFER",
        "transfer.upscale": "treadle.recipes.catalog:TRANSFER",
        **{f"host.image.{verb}": "treadle.recipes.catalog:HOST_IMAGE" for verb in ("build", "pull")},
        **{
            f"host.checkpoints.{verb}": "treadle.recipes.catalog:HOST_CHECKPOINTS"
            for verb in ("download", "verify", "manifest")
        },
        **{f"video.{tool}": "treadle.recipes.catalog:VIDEO" for tool in VIDEO_TOOLS},
    },
)

SAMPLE = Kind("treadle.recipes.sample:stream", "treadle.operations.generation:SamplePayload")

INTERACTIVE = Catalogue("interactive kind", {"sample": "treadle.recipes.catalog:SAMPLE"})
"""What the engine process answers: recipes `stream(workspace, payload, engines)` that yield events."""
