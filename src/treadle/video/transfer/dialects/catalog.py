"""The known dialects."""

from __future__ import annotations

from treadle.registry.catalogue import Catalogue

DIALECTS = Catalogue(
    "transfer dialect",
    {
        "transfer1": "treadle.video.transfer.dialects.transfer1:DIALECT",
        "transfer25": "treadle.video.transfer.dialects.transfer25:DIALECT",
        "diffusers": "treadle.video.transfer.dialects.diffusers:DIALECT",
        "local-tiny": "treadle.video.transfer.dialects.local_tiny:DIALECT",
    },
)
