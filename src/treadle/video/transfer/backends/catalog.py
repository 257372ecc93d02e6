"""The known backends."""

from __future__ import annotations

from treadle.registry.catalogue import Catalogue

BACKENDS = Catalogue(
    "transfer backend",
    {
        "transfer1-cli": "treadle.video.transfer.backends.transfer1_cli:BACKEND",
        "transfer1-server": "treadle.video.transfer.backends.transfer1_server:BACKEND",
        "transfer25-cli": "treadle.video.transfer.backends.transfer25_cli:BACKEND",
        "diffusers": "treadle.video.transfer.backends.diffusers:BACKEND",
        "local-tiny": "treadle.video.transfer.backends.local_tiny:BACKEND",
    },
)
