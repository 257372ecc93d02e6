"""Models of others, read and checked: folders of transformers, GGUF, nanoGPT's checkpoints, and our own packages.

Nothing is written here. What comes back is ours in every respect: family, shape, tokenizer, and weights by our names.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from treadle.base.errors import DataError, NotFoundError, TreadleError, UsageError
from treadle.base.files import read_json
from treadle.base.hashing import canonical_json, hash_file
from treadle.data.prepared import DECIDED
from treadle.data.tokenizers.char import CharTokenizer
from treadle.data.tokenizers.exchange import read_tokenizer
from treadle.data.tokenizers.gguf_vocabulary import vocabulary_of
from treadle.data.tokenizers.tokenizer import load_tokenizer, tokenizer_from_description
from treadle.models.exchange.gguf_reader import GgufFile
from treadle.models.exchange.safetensors_file import INDEX, SINGLE, Shards
from treadle.models.exchange.torch_file import as_array, read_plain_pickle, read_torch
from treadle.models.gpt import convert_gguf, convert_huggingface, convert_nanogpt
from treadle.models.gpt.vocabulary import NEW, with_ids
from treadle.models.gpt.weights import weight_shapes
from treadle.models.matching import require_fit
from treadle.recipes.export import FACTS, OWN_TOKENIZER
from treadle.recipes.package_file import SUFFIX, read_package

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from treadle.data.tokenizers.tokenizer import Tokenizer
    from treadle.models.gpt.convert_huggingface import Foreign

    Arrays = Mapping[str, NDArray[np.float32]]

_MOST_JSON: Final = 128 << 20
_META: Final = "meta.pkl"


@dataclass(frozen=True, slots=True)
class Incoming:
    """A model that was read and checked."""

    format: str
    family: str
    config: Mapping[str, Any]
    vocabulary: int
    context: int
    weights: Arrays
    tokenizer: Any
    """Its description as plain JSON."""
    sha256: str
    """Of the file that holds the weights, or of the document that covers them."""
    step: int = 0
    epochs: float = 0.0
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of a package: its chosen presets, and the values of the sections."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What it says of itself: licence, data, figures."""
    notes: tuple[str, ...] = ()


def read_incoming(path: Path, tokenizer_file: Path | None) -> Incoming:
    """Read whatever lies at `path`; raises `DataError` naming it and the reason for what cannot be used."""
    if not path.exists():
        raise NotFoundError(
            f"There is nothing at {path}. Name a folder of transformers, or a .gguf, .pt or .treadle file."
        )
    reader = _reader_for(path)
    if tokenizer_file is not None and reader is _package:
        raise UsageError("A package brings its own tokenizer; leave out --tokenizer.")
    try:
        return reader(path, None if tokenizer_file is None else read_tokenizer(tokenizer_file))
    except DataError as error:
        said = str(error).rstrip(".")
        raise DataError(f"{said}." if str(path) in said else f"{path} cannot be imported: {said}.") from error


def _reader_for(path: Path) -> Callable[[Path, Tokenizer | None], Incoming]:
    if path.is_dir():
        return _nanogpt if (path / "ckpt.pt").is_file() and not (path / "config.json").is_file() else _huggingface
    known = {".gguf": _gguf, SUFFIX: _package, ".pt": _nanogpt, ".pth": _nanogpt}
    if path.suffix in known:
        return known[path.suffix]
    if path.name in {"config.json", SINGLE, INDEX}:
        raise UsageError(f"Name the folder that {path.name} lies in: treadle import {path.parent} --name NAME")
    with path.open("rb") as file:
        head = file.read(4)
    if head == b"GGUF":
        return _gguf
    if head == b"PK\x03\x04":
        return _package
    raise DataError(
        f"{path} is no model that is known here: a folder of transformers (config.json, safetensors, tokenizer.json), "
        "a .gguf file, nanoGPT's ckpt.pt, or a package of Treadle."
    )


def _huggingface(folder: Path, tokenizer: Tokenizer | None) -> Incoming:
    if not (folder / "config.json").is_file():
        raise DataError("it has no config.json. Name the folder that a model of transformers was saved to")
    stated = _small_json(folder / "config.json")
    foreign = convert_huggingface.shape_of(stated)
    arrays = Shards(folder)
    _check_layers(foreign, len(arrays))
    weights = convert_huggingface.from_huggingface(foreign, arrays)
    if tokenizer is None:
        tokenizer = _tokenizer_of_folder(folder, foreign.vocabulary)
    digest = hash_file(folder / SINGLE if (folder / SINGLE).is_file() else folder / INDEX)
    facts = _told(_small_json(folder / FACTS), FACTS) if (folder / FACTS).is_file() else {}
    incoming = Incoming("huggingface", "gpt", {}, 0, 0, {}, None, digest, facts=facts)
    return _ours(incoming, foreign, weights, tokenizer)


def _tokenizer_of_folder(folder: Path, vocabulary: int) -> Tokenizer:
    own = folder / OWN_TOKENIZER
    if own.is_file():
        found = load_tokenizer(own)
        if found.vocabulary_size == vocabulary:
            return found
    if not (folder / "tokenizer.json").is_file():
        raise DataError(
            f"it has no tokenizer.json. Save one with transformers: AutoTokenizer.from_pretrained({folder.name!r})"
            ".save_pretrained(...), or name one with --tokenizer"
        )
    return read_tokenizer(folder / "tokenizer.json")


def _gguf(path: Path, tokenizer: Tokenizer | None) -> Incoming:
    file = GgufFile(path)
    foreign = convert_gguf.shape_of(file.facts, file.shapes())
    _check_layers(foreign, len(file))
    weights = convert_gguf.from_gguf(foreign, str(file.facts["general.architecture"]), file)
    lossy = sorted(file.kinds() - {"f32"})
    notes = (f"Its weights were kept as {' and '.join(lossy)}; what that cost stays lost.",) if lossy else ()
    stated = file.facts.get("treadle.facts")
    licence = file.facts.get("general.license")
    facts = {"licence": licence} if isinstance(licence, str) else {}
    facts |= _told(_parsed(stated), "treadle.facts") if isinstance(stated, str) else {}
    incoming = Incoming("gguf", "gpt", {}, 0, 0, {}, None, hash_file(path), facts=facts, notes=notes)
    return _ours(incoming, foreign, weights, tokenizer or vocabulary_of(file.facts))


def _nanogpt(path: Path, tokenizer: Tokenizer | None) -> Incoming:
    path = path / "ckpt.pt" if path.is_dir() else path
    found = read_torch(path)
    arguments, state = found.get("model_args"), found.get("model")
    if not isinstance(arguments, dict) or not isinstance(state, dict) or not _only_tensors(state):
        raise DataError("it has no model_args and model, as nanoGPT's checkpoints have")
    foreign = convert_nanogpt.shape_of(arguments)
    _check_layers(foreign, len(state))
    weights = convert_nanogpt.from_nanogpt(foreign, {name: as_array(value) for name, value in state.items()})
    step = found.get("iter_num", 0)
    digest = hash_file(path)
    incoming = Incoming("nanogpt", "gpt", {}, 0, 0, {}, None, digest, notes=_steps_note(step))
    if tokenizer is not None:
        return _ours(incoming, foreign, weights, tokenizer)
    meta = path.parent / _META
    if not meta.is_file():
        raise DataError(
            f"a checkpoint of nanoGPT does not hold its tokenizer. Copy the {_META} of its data folder beside it, or "
            "name a tokenizer.json with --tokenizer (that of gpt2, if it was trained on GPT-2's ids)"
        )
    characters, ids = _characters(read_plain_pickle(meta))
    if ids and max(ids) >= foreign.vocabulary:
        raise DataError(f"{meta} names ids that the model, which has {foreign.vocabulary}, does not have")
    _check_fit(foreign, weights)
    made = with_ids(weights, ids)
    foreign = convert_nanogpt.shape_of({**arguments, "vocab_size": len(ids)})
    return _ours(incoming, foreign, made, CharTokenizer(characters))


def _only_tensors(state: Mapping[Any, Any]) -> bool:
    return all(isinstance(name, str) and hasattr(value, "detach") for name, value in state.items())


def _steps_note(step: Any) -> tuple[str, ...]:  # noqa: ANN401 - whatever the file says
    if not isinstance(step, int) or not step:
        return ()
    return (f"nanoGPT had trained it for {step:,} steps; steps are counted from the import on.",)


def _characters(meta: Any) -> tuple[list[str], list[int]]:  # noqa: ANN401 - whatever the file says
    """The characters of a `meta.pkl`, and the old id of each of our ids."""
    table = meta.get("stoi") if isinstance(meta, dict) else None
    plain = isinstance(table, dict) and all(
        isinstance(one, str) and len(one) == 1 and isinstance(id_, int) and id_ >= 0 for one, id_ in table.items()
    )
    if not plain or not table:
        raise DataError(f"{_META} holds no table of characters; name a tokenizer.json with --tokenizer")
    characters = sorted(table)
    return characters, [NEW, *(table[one] for one in characters)]


def _package(path: Path, _: Tokenizer | None) -> Incoming:
    package = read_package(path)
    model, facts = package.model, package.facts
    if model["tokenizer"] is not None and model["tokenizer"].get("kind") not in DECIDED:
        ids = tokenizer_from_description(model["tokenizer"]).vocabulary_size
        if ids != model["vocabulary"]:
            raise DataError(f"{path} is refused: its tokenizer has {ids:,} ids and its model {model['vocabulary']:,}")
    _require_finite(package.weights)
    step, epochs = facts.get("step", 0), facts.get("epochs", 0.0)
    if not isinstance(step, int) or not isinstance(epochs, int | float) or step < 0 or not 0 <= epochs < 1e12:
        raise DataError(f"{path} is refused: its numbers of steps and epochs are impossible")
    return Incoming(
        "package",
        model["family"],
        package.config.model_dump(mode="json"),
        model["vocabulary"],
        model["context"],
        package.weights,
        model["tokenizer"],
        package.sha256,
        step,
        float(epochs),
        package.settings,
        facts,
    )


def _check_layers(foreign: Foreign, arrays: int) -> None:
    if foreign.config.layers > arrays:  # before a list of all their weights is made
        raise DataError(f"it states {foreign.config.layers:,} layers and holds {arrays:,} weights")


def _check_fit(foreign: Foreign, weights: Arrays) -> None:
    shapes = weight_shapes(foreign.config, foreign.vocabulary, foreign.context)
    try:
        require_fit(weights, shapes, "What it holds")
    except TreadleError as error:
        raise DataError(str(error)) from error


def _ours(incoming: Incoming, foreign: Foreign, weights: Arrays, tokenizer: Tokenizer) -> Incoming:
    """With weights and tokenizer that belong together, checked."""
    _check_fit(foreign, weights)
    _require_finite(weights)
    fitted, notes = _fitted(weights, foreign.vocabulary, tokenizer)
    return Incoming(
        incoming.format,
        "gpt",
        foreign.config.model_dump(mode="json"),
        tokenizer.vocabulary_size,
        foreign.context,
        fitted,
        tokenizer.describe(),
        incoming.sha256,
        facts=incoming.facts,
        notes=(*incoming.notes, *foreign.notes, *notes),
    )


def _fitted(weights: Arrays, stated: int, tokenizer: Tokenizer) -> tuple[Arrays, Sequence[str]]:
    """Rows for exactly the ids of the tokenizer: others pad their tables, and some have no id between documents."""
    ids = tokenizer.vocabulary_size
    if ids == stated:
        return weights, ()
    if ids < stated:
        note = f"{stated - ids:,} rows of its {stated:,} that no token id of the tokenizer names were left out."
        return with_ids(weights, range(ids)), (note,)
    if ids > stated + 1 or tokenizer.boundary != stated:
        raise DataError(
            f"its tokenizer has {ids:,} ids and its weights are for {stated:,}: they do not belong together"
        )
    note = "It knows no id between documents; one was added, which it has to learn."
    return with_ids(weights, [*range(stated), NEW]), (note,)


def _require_finite(weights: Arrays) -> None:
    for name in weights:
        if not np.isfinite(weights[name]).all():
            raise DataError(f"its weight {name} holds values that are not numbers")


def _parsed(text: str) -> Any:  # noqa: ANN401 - whatever the file says
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"its description of itself is not JSON ({error})") from error


def _told(found: Any, where: str) -> dict[str, Any]:  # noqa: ANN401 - whatever the file says
    """What a file of ours tells of its model; raises `DataError` for what no JSON of ours can keep, such as NaN."""
    try:
        canonical_json(found)
    except (ValueError, RecursionError) as error:
        raise DataError(f"its {where} holds what cannot be kept ({error})") from error
    return found if isinstance(found, dict) else {}


def _small_json(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _MOST_JSON:
        raise DataError(f"{path.name} has more than {_MOST_JSON:,} bytes")
    found = read_json(path)
    if not isinstance(found, dict):
        raise DataError(f"{path.name} is no table of keys and values")
    return found
