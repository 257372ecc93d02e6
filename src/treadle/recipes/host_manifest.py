"""The manifest of a host's checkpoints: which file has which content, as it was when it was trusted."""

from __future__ import annotations

import ast
import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from treadle.base.errors import DataError, NotFoundError
from treadle.base.files import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MANIFEST_FILE: Final = "checkpoints.json"
_SUM: Final = re.compile(r"(?P<sum>[0-9a-fA-F]{32})[ \t]+[* ]?(?P<path>\S.*)")
_TABLE: Final = "MD5_CHECKSUM_LOOKUP"
_UPSTREAM: Final = ("scripts/download_checkpoints.py", "cosmos_transfer1/checkpoints.py")


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """One file of the checkpoints."""

    sha256: str
    bytes: int
    source: str = ""
    """`OWNER/NAME@COMMIT` that it was downloaded from."""
    md5: bool = False
    """Whether its MD5 was the one of upstream's table when it was entered."""
    changed: int = 0
    """When it was changed last, as of then, in nanoseconds since 1970; another time is a reason to read it again."""


@dataclass(frozen=True, slots=True)
class CheckpointManifest:
    """What a host's checkpoints shall be, by path in their folder."""

    folder: str = ""
    """The folder on the host, when it was written."""
    files: Mapping[str, CheckpointFile] = field(default_factory=dict)


def read_manifest(folder: Path) -> CheckpointManifest:
    """The manifest of a host whose folder here is `folder`; empty while there is none."""
    path = folder / MANIFEST_FILE
    if not path.is_file():
        return CheckpointManifest()
    found = read_json(path)
    try:
        files = {name: CheckpointFile(**entry) for name, entry in found["files"].items()}
        return CheckpointManifest(str(found["folder"]), files)
    except (TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{path} is no manifest of checkpoints ({error}). Remove it, and make it again.") from error


def write_manifest(folder: Path, manifest: CheckpointManifest) -> Path:
    """Keep a manifest in place of the one before; returns its file."""
    path = folder / MANIFEST_FILE
    files = {name: asdict(entry) for name, entry in sorted(manifest.files.items())}
    write_json(path, {"folder": manifest.folder, "files": files})
    return path


def read_md5_table(source: Path) -> dict[str, str]:
    """MD5 sums by path: lines of `md5sum`, JSON `{path: md5}`, or a checkout of cosmos-transfer1 with its own table.

    Upstream's Python is read, never run.
    """
    if source.is_dir():
        return _upstream_table(source)
    if not source.is_file():
        raise NotFoundError(f"{source} does not exist.")
    if source.suffix == ".json":
        return _checked({str(name): str(value) for name, value in dict(read_json(source)).items()}, source)
    rows = {}
    for number, line in enumerate(source.read_text(encoding="utf-8", errors="surrogateescape").splitlines(), 1):
        found = _SUM.fullmatch(line.strip())
        if found is None and line.strip():
            raise DataError(f"{source}, line {number}: `{line[:60]}` is no line of `md5sum`.")
        if found is not None:
            rows[found["path"].removeprefix("./")] = found["sum"].lower()
    return _checked(rows, source)


def _checked(rows: dict[str, str], source: Path) -> dict[str, str]:
    wrong = next((name for name, value in rows.items() if re.fullmatch(r"[0-9a-f]{32}", value) is None), None)
    if wrong is not None or not rows:
        raise DataError(f"{source} holds no table of MD5 sums" + (f" (look at {wrong})." if wrong else "."))
    return rows


def _upstream_table(checkout: Path) -> dict[str, str]:
    script, names = (checkout / file for file in _UPSTREAM)
    for path in (script, names):
        if not path.is_file():
            raise NotFoundError(
                f"{checkout} is no checkout of cosmos-transfer1: it has no {path.relative_to(checkout)}."
            )
    known: dict[str, str] = {}
    for statement in ast.parse(names.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            value = _text(statement.value, known)
            if value is not None:
                known[statement.targets[0].id] = value
    for statement in ast.parse(script.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Dict):
            target = statement.targets[0]
            if isinstance(target, ast.Name) and target.id == _TABLE:
                pairs = zip(statement.value.keys, statement.value.values, strict=True)
                rows = {_text(name, known): _text(value, known) for name, value in pairs}
                return _checked({name: value for name, value in rows.items() if name and value}, script)
    raise DataError(f"{script} has no table {_TABLE}; this version of cosmos-transfer1 is not known here.")


def _text(node: Any, known: Mapping[str, str]) -> str | None:  # noqa: ANN401 - any expression
    """The text that a constant, a name, `checkpoints.NAME` or an f-string of them stands for."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute):
        return known.get(node.attr)
    if isinstance(node, ast.FormattedValue):
        return _text(node.value, known)
    if isinstance(node, ast.JoinedStr):
        parts = [_text(part, known) for part in node.values]
        return None if None in parts else "".join(part for part in parts if part is not None)
    return None
