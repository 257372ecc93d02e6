"""Vocabularies as llama.cpp keeps them in GGUF files, both ways.

Byte-level vocabularies are its `gpt2` kind, with the name of the pattern that text is cut by. Characters are its `rwkv`
kind, which takes the longest token at each place: with tokens of one character that is the character itself. In every
file of ours the tokenizer also stands as our own JSON, so that we read back exactly what was written.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from treadle.base.errors import DataError, UsageError
from treadle.data.tokenizers.bpe import PATTERN, BpeTokenizer
from treadle.data.tokenizers.byte_alphabet import to_symbols
from treadle.data.tokenizers.bytes import BytesTokenizer
from treadle.data.tokenizers.char import CharTokenizer
from treadle.data.tokenizers.definitions import definition_of
from treadle.data.tokenizers.exchange import BOUNDARY_TOKEN, GPT2_PATTERN, bpe_definition, cut_by, from_definition
from treadle.data.tokenizers.huggingface import HuggingFaceTokenizer
from treadle.data.tokenizers.tokenizer import tokenizer_from_description
from treadle.data.tokenizers.unigram import UnigramTokenizer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from treadle.data.tokenizers.tokenizer import Tokenizer

OWN: Final = "treadle.tokenizer"
_NORMAL, _CONTROL, _USER = 1, 3, 4
_NAMES: Final = {PATTERN: "qwen2", GPT2_PATTERN: "gpt-2"}
"""Patterns that llama.cpp knows, by what it calls them."""
_PATTERNS: Final = {name: pattern for pattern, name in _NAMES.items()}
_NO_TEXT: Final = to_symbols(b"\xff")
"""A byte that no UTF-8 holds: llama.cpp wants at least one pair, and this one never meets."""
_NO_FALLBACK: Final = (
    "llama.cpp's tokenizer of the kind unigram says what has no piece by one unknown token, and this tokenizer says "
    "it by its bytes or in a way of its own, so the ids would differ. Export the model with --to huggingface, or train "
    "one with a bpe tokenizer: treadle new NAME --tokenizer bpe"
)
_ESCAPED: Final = {"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def vocabulary_facts(tokenizer: Tokenizer) -> dict[str, Any]:
    """What a GGUF file says of a tokenizer; raises `UsageError` for one that llama.cpp has no kind for."""
    if isinstance(tokenizer, CharTokenizer):
        tokens = [BOUNDARY_TOKEN, *map(_escaped, tokenizer.characters)]
        facts = _facts("rwkv", tokens, [_CONTROL] + [_NORMAL] * (len(tokens) - 1))
        facts["tokenizer.ggml.unknown_token_id"] = tokenizer.boundary
    elif isinstance(tokenizer, BytesTokenizer):
        tokens = [*(to_symbols(bytes([byte])) for byte in range(256)), BOUNDARY_TOKEN]
        facts = _facts("gpt2", tokens, [_NORMAL] * 256 + [_CONTROL])
        facts |= {"tokenizer.ggml.pre": "gpt-2", "tokenizer.ggml.merges": [f"{_NO_TEXT} {_NO_TEXT}"]}
    elif isinstance(tokenizer, BpeTokenizer):
        facts = _byte_level(bpe_definition(tokenizer), tokenizer.vocabulary_size)
    elif isinstance(tokenizer, HuggingFaceTokenizer):
        facts = _byte_level(definition_of(tokenizer), tokenizer.vocabulary_size)
    elif isinstance(tokenizer, UnigramTokenizer):
        raise UsageError(_NO_FALLBACK)
    else:
        raise UsageError(
            f"llama.cpp has no tokenizer that gives the ids of the kind `{tokenizer.kind}`. Export the model with "
            "--to huggingface, or train one with a bpe tokenizer: treadle new NAME --tokenizer bpe"
        )
    boundary = {f"tokenizer.ggml.{end}_token_id": tokenizer.boundary for end in ("bos", "eos")}
    own = json.dumps(tokenizer.describe(), ensure_ascii=False)
    return {**facts, **boundary, "tokenizer.ggml.add_bos_token": False, OWN: own}


def _facts(model: str, tokens: Sequence[str], types: Sequence[int]) -> dict[str, Any]:
    return {"tokenizer.ggml.model": model, "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": types}


def _escaped(character: str) -> str:
    if character in _ESCAPED:
        return _ESCAPED[character]
    return f"\\x{ord(character):02x}" if character < " " else character


def _byte_level(definition: Mapping[str, Any], size: int) -> dict[str, Any]:
    model = definition["model"]
    if model.get("type") == "Unigram":
        raise UsageError(_NO_FALLBACK)
    whole = not model.get("merges") and model.get("type") == "BPE" and not definition.get("normalizer")
    # Without pairs each byte is a token, however the text was cut.
    pattern = GPT2_PATTERN if whole and definition["decoder"]["type"] == "ByteLevel" else cut_by(definition)
    if pattern not in _NAMES:
        raise UsageError(
            "llama.cpp knows text to be cut by the patterns of GPT-2 and Qwen2 here, and this tokenizer cuts it by "
            "another one, so the ids would differ. Export the model with --to huggingface."
        )
    tokens, types = [f"[unused{id_}]" for id_ in range(size)], [_USER] * size
    for token, id_ in definition["model"]["vocab"].items():
        tokens[id_], types[id_] = token, _NORMAL
    for added in definition.get("added_tokens") or []:
        tokens[added["id"]], types[added["id"]] = added["content"], _CONTROL if added["special"] else _USER
    merges = [one if isinstance(one, str) else " ".join(one) for one in definition["model"]["merges"]]
    facts = _facts("gpt2", tokens, types)
    return {
        **facts,
        "tokenizer.ggml.pre": _NAMES[pattern],
        "tokenizer.ggml.merges": merges or [f"{_NO_TEXT} {_NO_TEXT}"],
    }


def vocabulary_of(facts: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer of a GGUF file; raises `DataError` for a kind that is not read here."""
    own = facts.get(OWN)
    tokens = facts.get("tokenizer.ggml.tokens")
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise DataError("it holds no vocabulary")
    if isinstance(own, str):
        found = tokenizer_from_description(_parsed(own))
        if found.vocabulary_size == len(tokens):
            return found
    model, pre = facts.get("tokenizer.ggml.model"), facts.get("tokenizer.ggml.pre")
    if model != "gpt2" or pre not in _PATTERNS:
        raise DataError(
            f"its tokenizer (kind {model!r}, cut by {pre!r}) is not read here; only byte-level ones cut as by "
            f"{' or '.join(_PATTERNS)} are. Give the model's own tokenizer.json with --tokenizer"
        )
    types = facts.get("tokenizer.ggml.token_type") or [_NORMAL] * len(tokens)
    rows = list(zip(range(len(tokens)), tokens, types, strict=False))
    added = [
        {"id": id_, "content": token, "special": type_ == _CONTROL, "single_word": False, "lstrip": False}
        | {"rstrip": False, "normalized": False}
        for id_, token, type_ in rows
        if type_ != _NORMAL
    ]
    return from_definition(
        {
            "version": "1.0",
            "added_tokens": added,
            "pre_tokenizer": _cutting(_PATTERNS[str(pre)]),
            "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
            "model": {
                "type": "BPE",
                "vocab": {token: id_ for id_, token, type_ in rows if type_ == _NORMAL},
                "merges": facts.get("tokenizer.ggml.merges") or [],
            },
        }
    )


def _cutting(pattern: str) -> dict[str, Any]:
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    return {"type": "Sequence", "pretokenizers": [split, level]}


def _parsed(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"its {OWN} is damaged: {error}") from error
    if not isinstance(found, dict):
        raise DataError(f"its {OWN} is no description of a tokenizer")
    return found
