"""Tokenizers as files that others read: Hugging Face's `tokenizer.json`, both ways.

What is written is read back as the same tokenizer. A byte-level BPE of others comes back as ours, with its own pattern,
when it provably gives the same ids; anything else reversible is kept as it is and run by the `tokenizers` library.

Why the ids are the same: merging by rank of the result (tiktoken) and by a list of pairs (`tokenizers`) agree if each
token, cut by the lower ranks alone, comes out as exactly the two halves that the list names: no other neighbours can
then ever make that token. That is what `merges_of` finds, and what is checked of a file.
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any, Final

from treadle.base.errors import DataError, UsageError
from treadle.base.files import read_json, write_json, write_text
from treadle.data.tokenizers.bpe import BpeTokenizer
from treadle.data.tokenizers.byte_alphabet import from_symbols, to_symbols
from treadle.data.tokenizers.bytes import BytesTokenizer
from treadle.data.tokenizers.char import CharTokenizer
from treadle.data.tokenizers.huggingface import HuggingFaceTokenizer
from treadle.data.tokenizers.tokenizer import load_tokenizer, save_tokenizer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from treadle.data.tokenizers.tokenizer import Tokenizer

BOUNDARY_TOKEN: Final = "<|endoftext|>"  # noqa: S105 - no secret
"""What others call the boundary."""
GPT2_PATTERN: Final = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""What a `ByteLevel` with `use_regex` cuts by."""


def write_tokenizer(tokenizer: Tokenizer, path: Path) -> None:
    """Write a tokenizer to a file: bpe as `tokenizer.json`, what Hugging Face defined as it was, others in our form."""
    if isinstance(tokenizer, BpeTokenizer):
        write_json(path, bpe_definition(tokenizer))
    elif isinstance(tokenizer, HuggingFaceTokenizer):
        write_text(path, tokenizer.describe()["definition"])
    else:
        save_tokenizer(tokenizer, path)


def read_tokenizer(path: Path) -> Tokenizer:
    """Read a `tokenizer.json` of Hugging Face, or our own form; raises `DataError` naming the file."""
    if not path.is_file():
        raise UsageError(f"There is no tokenizer at {path}. Make one: treadle tokenizer train FILES --out {path.name}")
    try:
        definition = read_json(path)
        if isinstance(definition, dict) and isinstance(definition.get("tokenizer"), dict):
            return load_tokenizer(path)
        if not isinstance(definition, dict) or not isinstance(definition.get("model"), dict):
            raise DataError("it holds no tokenizer")  # noqa: TRY301
        ours = _as_ours(definition)
        return HuggingFaceTokenizer(path.read_text(encoding="utf-8")) if ours is None else ours
    except DataError as error:
        raise DataError(f"{path} cannot be used: {error}") from error


def from_definition(definition: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer of a `tokenizer.json` that was read: ours where it gives the same ids, else run by its library."""
    ours = _as_ours(definition)
    return HuggingFaceTokenizer(json.dumps(definition, ensure_ascii=False)) if ours is None else ours


def cut_by(definition: Mapping[str, Any]) -> str | None:
    """The pattern of a plain byte-level BPE; None for a definition that does anything else, too."""
    plain = definition["model"].get("type") == "BPE" and not definition.get("normalizer")
    byte_level = (definition.get("decoder") or {}).get("type") == "ByteLevel"
    return _pattern(definition.get("pre_tokenizer") or {}) if plain and byte_level else None


def merges_of(tokens: Sequence[bytes]) -> list[tuple[bytes, bytes]] | None:
    """The pair that each token longer than a byte is merged from, by rank; None if one has no such pair."""
    ranks = {token: rank for rank, token in enumerate(tokens)}
    found = []
    for rank, token in enumerate(tokens):
        if len(token) > 1:
            halves = _cut_below(token, ranks, rank)
            if len(halves) != 2:
                return None
            found.append((halves[0], halves[1]))
    return found


def _cut_below(token: bytes, ranks: Mapping[bytes, int], limit: int) -> list[bytes]:
    """Merge the bytes of a token as far as the ranks below `limit` go."""
    parts = [token[place : place + 1] for place in range(len(token))]
    while len(parts) > 1:
        pairs = [ranks.get(a + b, limit) for a, b in itertools.pairwise(parts)]
        lowest = min(pairs)
        if lowest >= limit:
            break
        place = pairs.index(lowest)
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return parts


def bpe_definition(tokenizer: BpeTokenizer) -> dict[str, Any]:
    """A byte-level BPE as the content of a `tokenizer.json`."""
    merges = merges_of(tokenizer.tokens)
    if merges is None:
        raise DataError("This vocabulary is not made of pairs, so it cannot be written as a tokenizer.json.")
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": tokenizer.boundary, "content": BOUNDARY_TOKEN, **special}],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": tokenizer.pattern}, "behavior": "Isolated", "invert": False},
                {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
            ],
        },
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {to_symbols(token): rank for rank, token in enumerate(tokenizer.tokens)},
            "merges": [f"{to_symbols(left)} {to_symbols(right)}" for left, right in merges],
        },
    }


def _as_ours(definition: Mapping[str, Any]) -> Tokenizer | None:
    """Our own tokenizer with the same ids, or None where that is not certain."""
    found = _without_pairs(definition)
    return _as_bpe(definition) if found is None else found


def _without_pairs(definition: Mapping[str, Any]) -> Tokenizer | None:
    """Bytes or characters, as `definitions` writes them."""
    model, added = definition["model"], definition.get("added_tokens") or []
    ends = [(one.get("id"), one.get("content")) for one in added]
    plain = not any(definition.get(key) for key in ("normalizer", "post_processor")) and not model.get("unk_token")
    vocabulary = model.get("vocab")
    if model.get("type") != "BPE" or model.get("merges") or not plain or not isinstance(vocabulary, dict):
        return None
    decoder, cutting = ((definition.get(key) or {}).get("type") for key in ("decoder", "pre_tokenizer"))
    if decoder == cutting == "ByteLevel" and not definition["pre_tokenizer"].get("add_prefix_space"):
        every = {to_symbols(bytes([byte])): byte for byte in range(256)}
        return BytesTokenizer() if vocabulary == every and ends == [(256, BOUNDARY_TOKEN)] else None
    characters = [token for token in vocabulary if token != BOUNDARY_TOKEN]
    if decoder != "Fuse" or cutting is not None or ends != [(0, BOUNDARY_TOKEN)] or not characters:
        return None
    ordered = {BOUNDARY_TOKEN: 0, **{one: id_ for id_, one in enumerate(sorted(characters), 1)}}
    return CharTokenizer(characters) if vocabulary == ordered and max(map(len, characters)) == 1 else None


def _as_bpe(definition: Mapping[str, Any]) -> BpeTokenizer | None:
    """A byte-level vocabulary whose pairs say the same as its ranks, or None where that is not certain."""
    model = definition["model"]
    plain = not any(model.get(key) for key in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"))
    pattern = _pattern(definition.get("pre_tokenizer") or {})
    decoder = (definition.get("decoder") or {}).get("type")
    if model.get("type") != "BPE" or decoder != "ByteLevel" or not plain:
        return None
    if definition.get("normalizer") or pattern is None:
        return None
    vocabulary: dict[str, int] = model.get("vocab", {})
    added = definition.get("added_tokens") or []
    if sorted(vocabulary.values()) != list(range(len(vocabulary))):
        return None
    if [(one.get("id"), one.get("content")) for one in added] != [(len(vocabulary), BOUNDARY_TOKEN)]:
        return None  # its further tokens have meanings that ours has no place for
    try:
        tokens = [from_symbols(token) for token in sorted(vocabulary, key=vocabulary.__getitem__)]
        stated = [tuple(map(from_symbols, _pair(merge))) for merge in model.get("merges", [])]
        ours = BpeTokenizer(tokens, pattern)
        ours.encode("a pattern in the words of another engine is found out here")
    except (ValueError, DataError):
        return None
    return ours if merges_of(tokens) == stated else None


def _pair(merge: str | Sequence[str]) -> Sequence[str]:
    return merge.split(" ") if isinstance(merge, str) else merge


def _pattern(pre_tokenizer: Mapping[str, Any]) -> str | None:
    """The pattern that the text is cut by, where that is all that happens before the merging."""
    parts = pre_tokenizer.get("pretokenizers") if pre_tokenizer.get("type") == "Sequence" else [pre_tokenizer]
    if not parts or any(part.get("add_prefix_space") for part in parts):
        return None
    if parts[-1].get("type") != "ByteLevel":
        return None
    if len(parts) == 1:
        return GPT2_PATTERN if parts[0].get("use_regex", True) else None
    split = parts[0]
    whole = split.get("type") == "Split" and split.get("behavior") == "Isolated" and not split.get("invert")
    if len(parts) != 2 or not whole or parts[1].get("use_regex", True):
        return None
    pattern = split.get("pattern", {}).get("Regex")
    return pattern if isinstance(pattern, str) else None
