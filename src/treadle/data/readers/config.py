"""Settings of reading: what of a page or a table is its text. No numpy, no parser."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from treadle.config.spec import Spec


class ReadSettings(Spec):
    """How files that are more than text become text."""

    html: Literal["main", "fast", "all", "metadata", "mixed"] = Field(
        "main",
        description="what of a web page is read: main = its main text, carefully; fast = its main text, ten times as"
        " quickly; all = all that is visible; metadata = title, author, date, description; mixed = metadata and main",
    )
    text_field: str | None = Field(
        None,
        description="column or key that holds the text of a row, in tables and JSON; none = text, content, body or"
        " article if there is one, else the whole row",
    )
