"""Packages: a model in one file, `NAME.treadle`, for another workspace.

A package is a zip archive of exactly three members, none of them compressed: `treadle.json` (shape, settings,
tokenizer, facts, and the hashes of the others), `README.md` (the card) and `model.safetensors`. What comes in from
strangers is checked before a single file is written: nothing is unpacked by a name that the package chose, nothing can
grow, and every byte is covered by a hash, the hashes by one of their own.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from treadle.base.errors import DataError, TreadleError
from treadle.base.hashing import hash_bytes, hash_json
from treadle.models.catalog import FAMILIES
from treadle.models.exchange.safetensors_file import SafetensorsFile
from treadle.models.matching import require_match

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import BinaryIO

    from treadle.config.spec import Spec

SUFFIX: Final = ".treadle"
FORMAT: Final = 1
DOCUMENT: Final = "treadle.json"
CARD: Final = "README.md"
WEIGHTS: Final = "model.safetensors"
_MEMBERS: Final = (DOCUMENT, CARD, WEIGHTS)
_KEYS: Final = {"kind", "format", "model", "settings", "facts", "files", "sha256"}
_MODEL_KEYS: Final = {"family", "config", "vocabulary", "context", "tokenizer"}
_KIND: Final = "treadle model"
_MOST_DOCUMENT: Final = 64 << 20
_MOST_CARD: Final = 4 << 20
_PIECE: Final = 1 << 20
_DATE: Final = (1980, 1, 1, 0, 0, 0)  # equal content gives equal bytes
_LOCAL_HEADER: Final = 30


@dataclass(frozen=True, slots=True)
class Package:
    """A package that was checked."""

    model: Mapping[str, Any]
    settings: Mapping[str, Any]
    facts: Mapping[str, Any]
    config: Spec
    weights: SafetensorsFile
    sha256: str
    """Of the document, which covers all else."""


def write_package(file: BinaryIO, parts: Mapping[str, Any], card: str, weights: Path) -> None:
    """Write a package. `parts` are `model`, `settings` and `facts`; `weights` a file of safetensors."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        digest, size = hashlib.sha256(), 0
        with weights.open("rb") as source, archive.open(_info(WEIGHTS), "w", force_zip64=True) as target:
            while piece := source.read(_PIECE):
                digest.update(piece)
                size += target.write(piece)
        text = card.encode()
        files = {
            WEIGHTS: {"bytes": size, "sha256": digest.hexdigest()},
            CARD: {"bytes": len(text), "sha256": hash_bytes(text)},
        }
        document = {"kind": _KIND, "format": FORMAT, **parts, "files": files}
        document["sha256"] = hash_json(document)
        archive.writestr(_info(CARD), text)
        archive.writestr(_info(DOCUMENT), json.dumps(document, ensure_ascii=False, indent=1).encode())


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _DATE)
    info.external_attr = 0o644 << 16
    return info


def read_package(path: Path) -> Package:
    """Read and check a package, writing nothing; raises `DataError` with the reason for anything out of place."""
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            members = _checked_members(archive, path.stat().st_size)
            document = _document(archive.read(members[DOCUMENT]))
            for name in (CARD, WEIGHTS):
                _check_hash(archive, members[name], document["files"][name])
            begin = _place_of(file, members[WEIGHTS])
            weights = SafetensorsFile(path, begin, members[WEIGHTS].file_size)
        return _fitting(document, weights)
    except zipfile.BadZipFile as error:
        raise DataError(f"{path} is no package, or it is cut or damaged: {error}.") from error
    except (NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a package: {error}.") from error
    except TreadleError as error:
        said = str(error)
        raise DataError(said if said.startswith(str(path)) else f"{path} is refused: {said}") from error


def _checked_members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    infos = archive.infolist()
    names = [info.filename for info in infos]
    odd = [name for name in names if name not in _MEMBERS]
    if odd:
        raise DataError(f"it holds {odd[0][:80]!r}, and a package holds {', '.join(_MEMBERS)} only.")
    if sorted(names) != sorted(_MEMBERS):
        raise DataError(f"it must hold {', '.join(_MEMBERS)}, each once, and holds {', '.join(names) or 'nothing'}.")
    for info in infos:
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size or info.flag_bits & 1:
            raise DataError(f"{info.filename} is compressed or encrypted in it; packages are neither.")
        if info.file_size > size:
            raise DataError(f"{info.filename} would be larger than the whole file.")
    for name, most in ((DOCUMENT, _MOST_DOCUMENT), (CARD, _MOST_CARD)):
        if archive.getinfo(name).file_size > most:
            raise DataError(f"{name} has more than {most:,} bytes.")
    return {info.filename: info for info in infos}


def _document(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{DOCUMENT} is no JSON ({error}).") from error
    if not isinstance(found, dict) or found.get("kind") != _KIND:
        raise DataError(f"{DOCUMENT} does not describe a model of Treadle.")
    if isinstance(found.get("format"), int) and found["format"] > FORMAT:
        raise DataError(
            f"it was written by a newer Treadle (format {found['format']}, not {FORMAT}). Upgrade this one."
        )
    if set(found) != _KEYS or not isinstance(found["model"], dict) or set(found["model"]) != _MODEL_KEYS:
        raise DataError(f"{DOCUMENT} does not have the keys of a package.")
    if found["sha256"] != hash_json({key: value for key, value in found.items() if key != "sha256"}):
        raise DataError(f"{DOCUMENT} does not have the hash that it names: it was changed.")
    sections = ("settings", "facts", "files")
    if not all(isinstance(found[key], dict) for key in sections) or set(found["files"]) != {CARD, WEIGHTS}:
        raise DataError(f"{DOCUMENT} does not name the files of a package.")
    return found


def _check_hash(archive: zipfile.ZipFile, info: zipfile.ZipInfo, stated: Any) -> None:  # noqa: ANN401 - as it came
    if not isinstance(stated, dict) or stated.get("bytes") != info.file_size:
        raise DataError(f"{info.filename} does not have the size that {DOCUMENT} names.")
    digest = hashlib.sha256()
    with archive.open(info) as source:
        while piece := source.read(_PIECE):
            digest.update(piece)
    if digest.hexdigest() != stated.get("sha256"):
        raise DataError(f"{info.filename} does not have the hash that {DOCUMENT} names: one of them was changed.")


def _place_of(file: BinaryIO, info: zipfile.ZipInfo) -> int:
    """Where a member's bytes begin; `archive.open` has checked that its own header agrees with the directory."""
    file.seek(info.header_offset)
    header = file.read(_LOCAL_HEADER)
    lengths = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    return info.header_offset + _LOCAL_HEADER + lengths


def _fitting(document: dict[str, Any], weights: SafetensorsFile) -> Package:
    """The package, if its weights are those of a model of the shape that it states."""
    from pydantic import ValidationError

    model = document["model"]
    if model["family"] not in FAMILIES:
        raise DataError(f"its family {str(model['family'])[:40]!r} is not known here: {', '.join(FAMILIES.names())}.")
    family = FAMILIES.get(model["family"])
    try:
        config = family.config_class().model_validate(model["config"])
    except (ValidationError, TypeError) as error:
        raise DataError(f"its shape is impossible: {str(error).splitlines()[-2:][0].strip()}.") from error
    counts = [model["vocabulary"], model["context"]]
    if not all(isinstance(count, int) and 1 <= count <= 1 << 24 for count in counts):
        raise DataError("its numbers of token ids and positions are impossible.")
    if getattr(config, "layers", 1) > len(weights):  # before a list of all their weights is made
        raise DataError(f"it states {getattr(config, 'layers', 1):,} layers and holds {len(weights):,} weights.")
    require_match(weights.shapes(), family.weight_shapes(config, *counts), WEIGHTS)
    return Package(model, document["settings"], document["facts"], config, weights, document["sha256"])
