"""What `system status` and `plugins list` tell."""

from __future__ import annotations

import os
import socket
from importlib.metadata import distributions
from typing import TYPE_CHECKING, Any, Final

import treadle
from treadle.registry.catalogue import Catalogue, load
from treadle.store.opening import database_url
from treadle.telemetry import hardware
from treadle.telemetry.hardware_history import machine_now

if TYPE_CHECKING:
    from treadle.store.workspace import WorkspaceFolder

CATALOGUES: Final = (
    "treadle.models.catalog:FAMILIES",
    "treadle.data.tokenizers.catalog:TOKENIZERS",
    "treadle.data.readers.catalog:READERS",
    "treadle.data.steps.catalog:STEPS",
    "treadle.data.checks:CHECKS",
    "treadle.data.crawl.sites.catalog:SITE_HANDLERS",
    "treadle.generation.engine:ENGINES",
    "treadle.training.learners:LEARNERS",
    "treadle.recipes.catalog:KINDS",
)
"""All that plugins may add to."""
_GROUP = "treadle."


def status(workspace: WorkspaceFolder) -> dict[str, Any]:
    """The fields of the report on the machine."""
    name, flags = hardware.processor()
    return {
        "version": treadle.__version__,
        "python": hardware.python_version(),
        "host": socket.gethostname(),
        "processor": name,
        "instruction_sets": flags,
        **machine_now(workspace.root),
        "workspace": str(workspace.root),
        "database": "SQLite" if database_url(workspace, os.environ) is None else "Postgres",
    }


def plugins() -> dict[str, Any]:
    """The fields of the report on plugins; reads what packages say of themselves, imports none of them."""
    kinds: list[dict[str, Any]] = []
    known: dict[str, set[str]] = {}
    for dotted in CATALOGUES:
        catalogue: Catalogue = load(dotted)
        known[catalogue.kind] = set(catalogue.built_in())
        kinds.append(
            {"kind": catalogue.kind, "group": f"{_GROUP}{catalogue.kind}", "built_in": sorted(catalogue.built_in())}
        )
    points = [(point, package) for package in distributions() for point in package.entry_points]
    found = [
        {
            "kind": point.group.removeprefix(_GROUP),
            "name": point.name,
            "value": point.value,
            "package": package.name,
            "version": package.version,
            "replaces": point.name in known.get(point.group.removeprefix(_GROUP), set()),
        }
        for point, package in points
        if point.group.startswith(_GROUP)
    ]
    return {"plugins": sorted(found, key=lambda row: (row["kind"], row["name"])), "kinds": kinds}
