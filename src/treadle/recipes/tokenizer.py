"""Tokenizers by themselves: learn one from texts, look into one, compare several."""

from __future__ import annotations

import itertools
import shlex
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.base.errors import NotFoundError, NotReadyError, UsageError
from treadle.data.document import Document, Refusal
from treadle.data.kept_split import with_kept_split
from treadle.data.readers.walk import read_paths
from treadle.data.splits import sides
from treadle.data.tokenizers.bytes import BytesTokenizer
from treadle.data.tokenizers.choice import VOCABULARIES, TokenizerChoice, parse_choice
from treadle.data.tokenizers.exchange import BOUNDARY_TOKEN, read_tokenizer, write_tokenizer
from treadle.data.tokenizers.learning import most_bytes, sampled
from treadle.data.tokenizers.tokenizer import load_tokenizer, tokenizer_hash, train_tokenizer
from treadle.recipes.opened import open_model
from treadle.recipes.settings import settings_of_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from treadle.data.tokenizers.tokenizer import Tokenizer
    from treadle.store.workspace import WorkspaceFolder

_LONGEST_SHOWN = 12
_MOST_TIMED = 8 << 20
"""Bytes of text that the speed of encoding is measured on, at most."""


@dataclass(frozen=True, slots=True)
class _Text:
    """One document, as much of it as is asked for."""

    id: str
    source: str
    size: int
    document: Document
    held_out: bool | None = None
    """Which side of the split; None = all of it."""
    settings: Any = None

    def pieces(self) -> Iterator[str]:
        if self.held_out is None:
            yield from self.document.pieces()
        else:
            yield from (piece for piece, held in sides(self.document, self.settings) if held == self.held_out)


def train(
    workspace: WorkspaceFolder, sources: Sequence[str], kind: str, vocabulary: int | None, out: Path
) -> dict[str, Any]:
    """Learn a vocabulary from the texts of `sources` and write it to `out`, which must be new."""
    begin = time.perf_counter()
    chosen = _choice(kind, vocabulary)
    if out.exists():
        raise UsageError(f"{out} exists already. Name another file, or remove it first.")
    # Characters are no statistics: those of held-out text must be known, too.
    texts, refused = _texts(workspace, sources, held_out=None if kind == "char" else False)
    size = sum(text.size for text in texts)
    learned: list[int] = []
    sample = sampled(((text.id, text.pieces()) for text in texts), size, most_bytes(kind))
    tokenizer = train_tokenizer(str(chosen), _counted(sample, learned))
    write_tokenizer(tokenizer, out)
    shown = list(itertools.islice(sampled(((text.id, text.pieces()) for text in texts), size, _MOST_TIMED), 64))
    tokens = sum(len(tokenizer.encode(piece, "skip")) for piece in shown)
    return {
        "kind": tokenizer.kind,
        "vocabulary": tokenizer.vocabulary_size,
        "sha256": tokenizer_hash(tokenizer),
        "file": str(out),
        "documents": len(texts),
        "bytes": sum(learned),
        "bytes_per_token": sum(len(piece.encode()) for piece in shown) / max(tokens, 1),
        "refused": [asdict(refusal) for refusal in refused],
        "seconds": time.perf_counter() - begin,
        "next_step": f"treadle new NAME --tokenizer {shlex.quote(str(out))}",
    }


def inspect(workspace: WorkspaceFolder, name: str, text: str | None) -> dict[str, Any]:
    """What a tokenizer is, and how it cuts `text`."""
    tokenizer = _found(workspace, name)
    lengths = tokenizer.byte_lengths
    longest = sorted(range(tokenizer.vocabulary_size), key=lambda token: (-int(lengths[token]), token))
    unknown = tokenizer.unknown_characters(text or "")
    ids = tokenizer.encode(text or "", "skip").tolist()
    return {
        "name": name,
        "kind": tokenizer.kind,
        "vocabulary": tokenizer.vocabulary_size,
        "sha256": tokenizer_hash(tokenizer),
        "specials": {BOUNDARY_TOKEN: tokenizer.boundary},
        "token_bytes": {
            "mean": float(lengths.sum()) / max(int((lengths > 0).sum()), 1),
            "longest": float(lengths.max()),
        },
        "longest": [_shown(tokenizer.token_bytes(token)) for token in longest[:_LONGEST_SHOWN]],
        "pattern": getattr(tokenizer, "pattern", None),
        "pieces": [{"id": token, **_piece(tokenizer.token_bytes(token))} for token in ids],
        "unknown": unknown,
    }


def compare(workspace: WorkspaceFolder, sources: Sequence[str]) -> dict[str, Any]:
    """Bytes per token, unknown characters and speed of several tokenizers over the same texts."""
    tokenizers: dict[str, Tokenizer] = {}
    paths = []
    for source in dict.fromkeys(sources):
        if source.endswith(".json") or not Path(source).exists():
            tokenizers[source] = _found(workspace, source)
        else:
            paths.append(source)
    if not tokenizers:
        raise UsageError("Name at least one tokenizer: a model, the file of a tokenizer, or bytes.")
    models = [name for name in tokenizers if _is_model(workspace, name)]
    if not paths and not models:
        raise UsageError("There is no text to compare on. Name files or folders of text, too.")
    texts, refused = _texts(workspace, paths or models, held_out=True)
    if not texts:
        raise UsageError(
            "There is no text to compare on: nothing that was named could be read, or nothing is held out."
        )
    rows = [
        {
            "source": text.source,
            "bytes": sum(len(piece.encode()) for piece in text.pieces()),
            "figures": {name: _figures(tokenizer, text.pieces()) for name, tokenizer in tokenizers.items()},
        }
        for text in texts
    ]
    rows = [row for row in rows if row["bytes"]]
    return {
        "tokenizers": [_summary(name, tokenizer, rows, texts) for name, tokenizer in tokenizers.items()],
        "texts": rows,
        "refused": [asdict(refusal) for refusal in refused],
    }


def _choice(kind: str, vocabulary: int | None) -> TokenizerChoice:
    if vocabulary is None:
        return parse_choice(kind)
    if kind not in VOCABULARIES:
        raise UsageError(f"The vocabulary of {kind} is what the text holds; leave out --vocabulary.")
    return parse_choice(f"{kind}:{vocabulary}")


def _found(workspace: WorkspaceFolder, name: str) -> Tokenizer:
    """The tokenizer of a model, or in a file, or the one of bytes."""
    if name == BytesTokenizer.kind:
        return BytesTokenizer()
    if name.endswith(".json") or Path(name).is_file():
        return read_tokenizer(Path(name))
    model = open_model(workspace, name)
    path = model.folder / "tokenizer" / "tokenizer.json"
    if not path.is_file():
        raise NotReadyError(
            f"`{name}` has no vocabulary yet: it is fixed when the model first trains. "
            f"Train it: treadle train {shlex.quote(name)}"
        )
    return load_tokenizer(path)


def _is_model(workspace: WorkspaceFolder, name: str) -> bool:
    try:
        open_model(workspace, name)
    except NotFoundError:
        return False
    return True


def _counted(pieces: Iterable[str], sizes: list[int]) -> Iterator[str]:
    """Pass pieces on and note how many bytes each has."""
    for piece in pieces:
        sizes.append(len(piece.encode()))
        yield piece


def _texts(
    workspace: WorkspaceFolder, sources: Sequence[str], *, held_out: bool | None
) -> tuple[list[_Text], list[Refusal]]:
    """The documents of files, folders and models (of a model on one side of its split, if asked); equal ones once."""
    found: dict[str, _Text] = {}
    refused: list[Refusal] = []
    for source in sources:
        if Path(source).exists():
            for item in read_paths([Path(source)]):
                if isinstance(item, Refusal):
                    refused.append(item)
                else:
                    found.setdefault(item.id, _Text(item.id, item.source, item.size, item))
            continue
        model = open_model(workspace, source)
        settings = with_kept_split(model.folder / "tokenizer", settings_of_model(workspace, model.card).data)
        for document in model.dataset().documents():
            text = _Text(document.id, document.source, document.size, document, held_out, settings)
            found.setdefault(document.id, text)
    if not found and not refused:
        raise UsageError("There is no text: name files or folders of text, or a model that was fed.")
    return list(found.values()), refused


def _figures(tokenizer: Tokenizer, pieces: Iterable[str]) -> dict[str, Any]:
    size = tokens = unknown = 0
    for piece in pieces:
        size += len(piece.encode())
        tokens += len(tokenizer.encode(piece, "skip"))
        unknown += sum(tokenizer.unknown_characters(piece).values())
    return {"tokens": tokens, "bytes_per_token": size / max(tokens, 1), "unknown": unknown}


def _summary(name: str, tokenizer: Tokenizer, rows: Sequence[dict[str, Any]], texts: Sequence[_Text]) -> dict[str, Any]:
    figures = [row["figures"][name] for row in rows]
    tokens = sum(one["tokens"] for one in figures)
    return {
        "name": name,
        "kind": tokenizer.kind,
        "vocabulary": tokenizer.vocabulary_size,
        "sha256": tokenizer_hash(tokenizer),
        "tokens": tokens,
        "bytes_per_token": sum(row["bytes"] for row in rows) / max(tokens, 1),
        "unknown": sum(one["unknown"] for one in figures),
        "megabytes_per_second": _speed(tokenizer, texts),
    }


def _speed(tokenizer: Tokenizer, texts: Sequence[_Text]) -> float:
    """Megabytes of text encoded in a second, on the first few megabytes; the better of two passes."""
    pieces, size = [], 0
    for piece in itertools.chain.from_iterable(text.pieces() for text in texts):
        pieces.append(piece)
        size += len(piece.encode())
        if size >= _MOST_TIMED:
            break
    best = float("inf")
    for _ in range(2):
        begin = time.perf_counter()
        for piece in pieces:
            tokenizer.encode(piece, "skip")
        best = min(best, time.perf_counter() - begin)
    return size / 1e6 / max(best, 1e-9)


def _piece(data: bytes) -> dict[str, str]:
    return {"text": data.decode(errors="replace"), "bytes": data.hex()}


def _shown(data: bytes) -> str:
    return data.decode(errors="replace")
