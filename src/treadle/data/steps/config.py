"""Settings of a named dataset: how its files are read, cleaned, judged and compared. No numpy."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field

from treadle.data.readers.config import ReadSettings

CLEANING = 1
"""Grows when the same settings clean otherwise than before, so that ids of datasets tell the two apart."""


class DatasetSettings(ReadSettings):
    """How the documents of a dataset are made; all of it but the checks is part of what the dataset's id stands for."""

    repair: bool = Field(
        default=True, description="repair text that was decoded wrongly (Ã¤ for ä), where a test finds some"
    )
    unicode: Literal["as given", "NFC", "NFKC"] = Field(
        "NFC", description="normal form of the characters; NFKC also makes ligatures and wide letters plain"
    )
    boilerplate: Literal["strip", "keep"] = Field(
        "strip", description="licence texts around a document, such as Project Gutenberg's: taken off, or kept"
    )
    whitespace: Literal["tidy", "keep"] = Field(
        "tidy",
        description="in prose, spaces at line ends and more than one blank line are removed; verse, dialogue, code,"
        " tables and chats always keep theirs",
    )
    step: tuple[str, ...] = Field(
        (),
        description="further steps, in their order: personal = e-mail and IP addresses become signs; those of plugins",
    )
    languages: tuple[str, ...] = Field(
        (), description="languages to keep, as ISO codes such as en; documents in others are refused; none = all"
    )
    quality: Literal["permissive", "gopher", "c4", "fineweb"] = Field(
        "permissive", description="the rules that documents are judged by; the report shows what breaks them"
    )
    drop: bool = Field(
        default=False, description="refuse documents that break a rule of quality, instead of reporting them"
    )
    near_duplicates: Literal["report", "drop", "ignore"] = Field(
        "report",
        description="documents that are nearly the same: reported and kept on one side of the split, all but one"
        " dropped, or not looked for",
    )
    similarity: float = Field(
        0.8, ge=0.5, le=1, description="share of common five-word runs from which two documents are nearly the same"
    )
    check: tuple[str, ...] = Field(
        (),
        description="conditions that a version must meet to be made, such as size:1MB, language:en:0.9, leak:0.01,"
        " licence:CC0-1.0, vocabulary:FILE:0.99, schema:FILE",
    )

    def preparation(self) -> dict[str, str]:
        """What of the settings makes another dataset of the same files, as plain words for a manifest."""
        chosen: dict[str, Any] = self.model_dump(mode="json", exclude_defaults=True, exclude={"check"})
        return {"cleaning": str(CLEANING), "settings": json.dumps(chosen, sort_keys=True, ensure_ascii=False)}

    def reading(self) -> ReadSettings:
        """The part that readers need."""
        return ReadSettings(html=self.html, text_field=self.text_field)
