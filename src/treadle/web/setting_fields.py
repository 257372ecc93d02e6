"""The settings of a model as fields of a form: what each takes, what set it, and why some of them are fixed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from treadle.web.forms import Field

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

SECTIONS: Final = {
    "training": "Training",
    "data": "Data",
    "family": "Network",
    "generation": "Generation",
}
"""Sections in the order in which people look for them."""


def setting_fields(
    rows: Sequence[Mapping[str, Any]], limits: Sequence[Mapping[str, Any]], *, has_weights: bool
) -> list[tuple[str, list[Field]]]:
    """The fields of each section, by its title. `rows` are those of `config.show`, `limits` those of `show`."""
    fixed = {limit["key"]: limit["because"] for limit in limits if limit["possible"] == "no"} if has_weights else {}
    partly = {limit["key"]: f"Possible: {limit['possible']}." for limit in limits if limit["possible"] != "no"}
    found: list[tuple[str, list[Field]]] = []
    for section, title in SECTIONS.items():
        fields = [
            _field(row, fixed.get(row["key"], ""), partly.get(row["key"], "") if has_weights else "")
            for row in rows
            if row["key"].startswith(f"{section}.")
        ]
        if fields:
            found.append((title, fields))
    return found


def near_rows(rows: Sequence[Mapping[str, Any]], root: Path) -> list[dict[str, Any]]:
    """Settings with the files that set them told from the workspace on."""
    return [{**row, "origin": str(row["origin"]).replace(f"{root}/", "")} for row in rows]


def _field(row: Mapping[str, Any], fixed: str, partly: str) -> Field:
    takes = row["takes"]
    help_ = " ".join(part for part in (_sentence(row["description"]), partly, f"Now from: {row['origin']}.") if part)
    value = row["value"]
    return Field(
        name=row["key"],
        label=row["key"].partition(".")[2].replace("_", " ").replace(".", " · "),
        help=help_,
        kind=takes["kind"],
        value=_text(value) if takes["kind"] in {"text", "choice"} else value,
        minimum=takes["minimum"],
        maximum=takes["maximum"],
        step="1" if takes["kind"] == "integer" else "any",
        choices=tuple(takes["choices"]),
        fixed=bool(fixed),
        reason=fixed,
    )


def _text(value: Any) -> str | None:  # noqa: ANN401 - any plain setting
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return f"[{','.join(map(str, value))}]"
    return str(value)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""
