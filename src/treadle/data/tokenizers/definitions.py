"""Every tokenizer as a `tokenizer.json`, so that Hugging Face's libraries give the ids that ours gives.

Bytes and characters are byte-pair encodings without a single pair. A character that the vocabulary lacks is left out by
Hugging Face where ours refuses it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from treadle.base.errors import UsageError
from treadle.data.tokenizers.bpe import BpeTokenizer
from treadle.data.tokenizers.byte_alphabet import to_symbols
from treadle.data.tokenizers.bytes import BytesTokenizer
from treadle.data.tokenizers.char import CharTokenizer
from treadle.data.tokenizers.exchange import BOUNDARY_TOKEN, bpe_definition
from treadle.data.tokenizers.huggingface import HuggingFaceTokenizer
from treadle.data.tokenizers.unigram import UnigramTokenizer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from treadle.data.tokenizers.tokenizer import Tokenizer

_SPACE: Final = "\u2581"
_BYTE_LEVEL: Final = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}


def definition_of(tokenizer: Tokenizer) -> dict[str, Any]:
    """The content of a `tokenizer.json`; raises `UsageError` for a kind that has none."""
    if isinstance(tokenizer, BpeTokenizer):
        return bpe_definition(tokenizer)
    if isinstance(tokenizer, HuggingFaceTokenizer):
        return _with_boundary(json.loads(tokenizer.describe()["definition"]), tokenizer.boundary)
    if isinstance(tokenizer, BytesTokenizer):
        vocabulary = {to_symbols(bytes([byte])): byte for byte in range(256)}
        made = _without_pairs(vocabulary, tokenizer.boundary)
        return {**made, "pre_tokenizer": dict(_BYTE_LEVEL), "decoder": dict(_BYTE_LEVEL)}
    if isinstance(tokenizer, CharTokenizer):
        # The boundary stands in the table, too: an added token that does not would get the next free id.
        known = {one: id_ for id_, one in enumerate(tokenizer.characters, 1)}
        return _without_pairs({BOUNDARY_TOKEN: tokenizer.boundary, **known}, tokenizer.boundary)
    if isinstance(tokenizer, UnigramTokenizer):
        return _unigram(tokenizer)
    raise UsageError(f"A {tokenizer.kind} tokenizer cannot be written as a tokenizer.json.")


def boundary_name(tokenizer: Tokenizer) -> str:
    """What the boundary is called in the definition."""
    if isinstance(tokenizer, HuggingFaceTokenizer | UnigramTokenizer):
        added = definition_of(tokenizer)["added_tokens"]
        return next(str(one["content"]) for one in added if one["id"] == tokenizer.boundary)
    return BOUNDARY_TOKEN


def _special(id_: int, content: str) -> dict[str, Any]:
    plain = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": id_, "content": content, **plain, "special": True}


def _without_pairs(vocabulary: Mapping[str, int], boundary: int) -> dict[str, Any]:
    names = ("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix")
    switches = dict.fromkeys(("fuse_unk", "byte_fallback", "ignore_merges"), False)
    model: dict[str, Any] = {"type": "BPE", **dict.fromkeys(names), **switches, "vocab": dict(vocabulary), "merges": []}
    return _framed(model, [_special(boundary, BOUNDARY_TOKEN)])


def _framed(model: Mapping[str, Any], added: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": {"type": "Fuse"},
        "model": dict(model),
    }


def _unigram(tokenizer: UnigramTokenizer) -> dict[str, Any]:
    pieces = tokenizer.pieces()
    model = {"type": "Unigram", "unk_id": tokenizer.boundary, "vocab": [list(one) for one in pieces]}
    made = _framed({**model, "byte_fallback": True}, [_special(tokenizer.boundary, pieces[tokenizer.boundary][0])])
    spaces = {"type": "Replace", "pattern": {"String": " "}, "content": _SPACE}
    back = {"type": "Replace", "pattern": {"String": _SPACE}, "content": " "}
    decoder = {"type": "Sequence", "decoders": [back, {"type": "ByteFallback"}, {"type": "Fuse"}]}
    return {**made, "normalizer": spaces, "decoder": decoder}


def _with_boundary(definition: dict[str, Any], boundary: int) -> dict[str, Any]:
    """A definition of others, with a boundary where it had none."""
    added = definition.get("added_tokens") or []
    if any(one.get("id") == boundary for one in added):
        return definition
    return {**definition, "added_tokens": [*added, _special(boundary, BOUNDARY_TOKEN)]}
