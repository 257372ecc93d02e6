"""The model families. A new one is a folder beside `gpt/` and one line here, or a plugin's entry point."""

from __future__ import annotations

from treadle.registry.catalogue import Catalogue

FAMILIES = Catalogue(
    "family",
    {
        "gpt": "treadle.models.gpt.family:FAMILY",
        "rnn": "treadle.models.rnn.family:FAMILY",
        "image_classifier": "treadle.models.image_classifier.family:FAMILY",
        "video_flow": "treadle.models.video_flow.family:FAMILY",
    },
)
"""Names to `Family` objects; listing and getting import neither torch nor numpy."""
