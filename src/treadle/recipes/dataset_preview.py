"""Looking before adding: what would be read of some files, what each step would do to it, and why."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from treadle.base import units
from treadle.base.errors import UsageError
from treadle.data.document import Refusal
from treadle.data.readers.sandbox import Sandbox, Work
from treadle.data.readers.walk import files_of
from treadle.data.steps.cleaning import BANDS_KEY
from treadle.data.steps.lines import beginning
from treadle.recipes.datasets import open_named, settings_from

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from treadle.data.document import Document
    from treadle.data.steps.config import DatasetSettings
    from treadle.store.workspace import WorkspaceFolder

_SHOWN = 20_000
"""Characters of a text that are shown, before and after."""


def preview(
    workspace: WorkspaceFolder | None,
    paths: Sequence[Path],
    dataset: str | None,
    given: Mapping[str, Any],
    documents: int,
) -> dict[str, Any]:
    """Read and clean the first documents of `paths` as a dataset would, and store nothing."""
    settings = _settings(workspace, dataset, given)
    work = Work(settings.reading(), "treadle.data.steps.cleaning:previewer", settings.model_dump(mode="json"))
    with Sandbox(work) as sandbox:
        rows = [_row(item, settings) for item in itertools.islice(_read(sandbox, paths), documents)]
    if not rows:
        raise UsageError("Name at least one file or folder to look at.")
    return {"settings": settings.model_dump(mode="json"), "documents": rows}


def _settings(workspace: WorkspaceFolder | None, dataset: str | None, given: Mapping[str, Any]) -> DatasetSettings:
    if dataset is None:
        return settings_from(given)
    if workspace is None:
        raise UsageError("A dataset is named, but there is no workspace here. Name it with --workspace DIR.")
    chosen = open_named(workspace, dataset).settings.model_dump(mode="json")
    return settings_from({**chosen, **given})


def _read(sandbox: Sandbox, paths: Sequence[Path]) -> Iterator[Document | Refusal]:
    for item in files_of(paths):
        if isinstance(item, Refusal):
            yield item
        else:
            yield from sandbox.read([item])


def _row(item: Document | Refusal, settings: DatasetSettings) -> dict[str, Any]:
    if isinstance(item, Refusal):
        said = {"step": "read", "does": "refuse", "why": item.detail}
        return {"source": item.source, "refused": item.reason, "steps": [said], "before": "", "after": "", "facts": {}}
    facts = {key: value for key, value in item.metadata.items() if key not in {"before", BANDS_KEY}}
    refused = facts.pop("refused", None)
    return {
        "source": item.source,
        "refused": refused["reason"] if refused else None,
        "steps": list(_steps(facts, refused, settings)),
        "before": item.metadata["before"],
        "after": beginning(item.pieces(), _SHOWN),
        "facts": facts,
    }


def _steps(facts: Mapping[str, Any], refused: Mapping[str, Any] | None, settings: DatasetSettings) -> Iterator[Any]:
    """What each step did to a document, in their order."""
    yield _read_as(facts)
    if settings.repair:
        lines = facts.get("repaired_lines")
        yield _step("repair", lines, f"{lines} lines were decoded wrongly", "no wrongly decoded text was found")
    yield _unicode(facts, settings)
    if settings.boilerplate == "strip":
        name = facts.get("boilerplate")
        yield _step("boilerplate", name, f"the licence of {name} stands around it", "none that is known was found")
    if settings.step:
        shown = ", ".join(settings.step)
        yield _step("step", facts.get("masked"), f"{shown}: {facts.get('masked')} addresses masked", f"{shown} ran")
    form = facts.get("form")
    speakers = f" with {facts['speakers']} speakers" if "speakers" in facts else ""
    if form == "prose" and settings.whitespace == "tidy":
        yield {"step": "whitespace", "does": "change", "why": "it is prose: line ends and blank lines are tidied"}
    else:
        why = "kept as it is" if form != "prose" else "whitespace=keep"
        yield {"step": "whitespace", "does": "keep", "why": f"it is {form}{speakers}: {why}"}
    if "language" in facts:
        sure = f"{facts['language']}, {facts['language_probability']:.0%} sure"
        yield {"step": "language", "does": "note", "why": sure}
    if refused is not None:
        yield {"step": refused["reason"], "does": "refuse", "why": refused["detail"]}
    elif broken := facts.get("broken_rules"):
        why = f"{settings.quality} would drop it: {'; '.join(broken)}; kept, since drop=false"
        yield {"step": "quality", "does": "note", "why": why}
    elif "quality" in facts:
        yield {"step": "quality", "does": "keep", "why": f"it breaks no rule of {settings.quality}"}
    if refused is None and settings.near_duplicates != "ignore":
        why = f"compared with all documents when it is added ({settings.near_duplicates})"
        yield {"step": "near-duplicates", "does": "note", "why": why}


def _read_as(facts: Mapping[str, Any]) -> dict[str, str]:
    format_ = facts.get("format", "text")
    details = [f"as {format_}"]
    details += [f"encoding {facts['encoding']}"] if "encoding" in facts else []
    details += [f"html={facts['extract']}"] if "extract" in facts else []
    details += [units.counted(facts["pages"], "page")] if "pages" in facts else []
    return {"step": "read", "does": "note", "why": ", ".join(details)}


def _unicode(facts: Mapping[str, Any], settings: DatasetSettings) -> dict[str, str]:
    said = [f"characters brought into {settings.unicode}"] if facts.get("unicode_changed") else []
    if "removed_characters" in facts:
        said.append(f"{facts['removed_characters']} control characters or soft hyphens removed")
    return _step("unicode", said, ", ".join(said), "all characters are as they should be")


def _step(name: str, changed: object, why: str, why_not: str) -> dict[str, str]:
    return {"step": name, "does": "change" if changed else "keep", "why": why if changed else why_not}
