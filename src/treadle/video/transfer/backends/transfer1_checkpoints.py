"""What of its checkpoints NVIDIA's cosmos-transfer1 loads for a request, by the names of its `checkpoints.py`.

Models that draw maps (depth, segments, key points) are not among them: the target takes those from the cache of its
libraries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from treadle.video.transfer.spec import TransferSpec

_MODEL: Final = "nvidia/Cosmos-Transfer1-7B"
_DRIVING: Final = "nvidia/Cosmos-Transfer1-7B-Sample-AV"
_TOKENIZER: Final = "nvidia/Cosmos-Tokenize1-CV8x8x8-720p"
_FILES: Final = {"upscale": "4kupscaler"}
"""Names that are not those of the controls."""
_EVERY: Final = (
    *(f"{_TOKENIZER}/{file}" for file in ("encoder.jit", "decoder.jit", "mean_std.pt")),
    "google-t5/t5-11b/",
)
GUARDRAIL: Final = ("nvidia/Cosmos-Guardrail1/", "meta-llama/Llama-Guard-3-8B/")


def needed(spec: TransferSpec) -> tuple[str, ...]:
    """Paths in the folder of checkpoints; one that ends with `/` is a folder. Without those of the guardrail."""
    if spec.distilled:  # one file holds the base and its control
        return (f"{_MODEL}/edge_control_distilled.pt", *_EVERY)
    model = _DRIVING if {"hdmap", "lidar"} & set(spec.kinds) else _MODEL
    controls = [f"{model}/{_FILES.get(kind, kind)}_control.pt" for kind in spec.kinds]
    return (f"{model}/base_model.pt", *controls, *_EVERY)
