"""The quality report of a dataset version: as plain JSON for doors, and as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from treadle.base.errors import UsageError
from treadle.base.files import write_text
from treadle.data.report_facts import report_of
from treadle.data.report_page import page_of
from treadle.data.tokenizers.exchange import read_tokenizer
from treadle.recipes.datasets import find_version

if TYPE_CHECKING:
    from pathlib import Path

    from treadle.store.workspace import WorkspaceFolder


def report(workspace: WorkspaceFolder, name: str, html: Path | None, tokenizer: Path | None) -> dict[str, Any]:
    """Measure a version; write the page to `html` if it is named."""
    named, dataset = find_version(workspace, name)
    if html is not None and html.is_dir():
        raise UsageError(f"{html} is a folder. Name the file to write the report to.")
    if dataset.manifest.documents == 0:
        raise UsageError(f"Version {dataset.number} of `{named.name}` holds no documents; there is nothing to report.")
    chosen = None if tokenizer is None else read_tokenizer(tokenizer)
    facts = report_of(named.name, dataset, named.settings, chosen)
    if html is not None:
        write_text(html.expanduser().absolute(), page_of(facts))
    return {**facts, "html": None if html is None else str(html.expanduser().absolute())}
