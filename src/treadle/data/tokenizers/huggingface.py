"""Somebody else's tokenizer, as its `tokenizer.json` defines it, run by the library of the extra `tokenizers`.

Only reversible ones are taken: what each id stands for must be bytes that add up to the text. So byte-level ones and
those with a fallback to bytes serve; one that drops case, accents or spaces is refused with an example.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from treadle.base.errors import DataError, MissingExtraError, UsageError
from treadle.data.document import encode_utf8
from treadle.data.tokenizers.byte_alphabet import from_symbols
from treadle.data.tokenizers.byte_tokens import ByteTokens
from treadle.data.tokenizers.tokenizer import id_array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from treadle.data.tokenizers.byte_tokens import ByteTokensDecoder
    from treadle.data.tokenizers.tokenizer import AnyIds, TokenIds, Unknown

_ENDS: Final = ("<|endoftext|>", "<|end_of_text|>", "<|bos|>", "</s>", "<eos>", "<s>", "<bos>")
"""Special tokens that stand between documents where they exist; else an id is added for it."""
_PROBES: Final = (
    "plain words, 123 numbers: and  two spaces\n\n\tand\r\nlines ",
    " leading and trailing ",
    "Ünïcödé ΑΒΓ русский 日本語 हिन्दी العربية 👩\u200d👧 e\u0301 ﬁ",
    "".join(map(chr, range(256))),
)


class HuggingFaceTokenizer:
    """A `tokenizer.json`, kept as its own text."""

    kind: ClassVar[str] = "huggingface"

    def __init__(self, definition: str) -> None:
        """Take the text of the file; raises `DataError` if it is none, or not reversible."""
        self._definition = definition
        self._library = _parsed(definition)
        tokens, specials = _tokens(self._library, json.loads(definition))
        found = [specials[end] for end in _ENDS if end in specials]
        self.boundary = found[0] if found else len(tokens)
        if not found:
            tokens.append(b"")
        self.vocabulary_size = len(tokens)
        self._bytes = ByteTokens(tokens, self.boundary)
        self._check_reversible()

    @classmethod
    def train(cls, texts: Iterable[str], vocabulary: int = 0) -> Self:  # noqa: ARG003 - the interface
        """Nothing of this kind is learned here; raises `UsageError`."""
        raise UsageError("A Hugging Face tokenizer is read from a file: give the path of its tokenizer.json.")

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> Self:
        """Rebuild from `describe`."""
        definition = description.get("definition")
        if set(description) != {"kind", "definition"} or not isinstance(definition, str):
            raise DataError("A huggingface tokenizer's description must hold its `definition`, and nothing else.")
        return cls(definition)

    def describe(self) -> dict[str, Any]:
        """The kind and the text of the file."""
        return {"kind": self.kind, "definition": self._definition}

    @property
    def byte_lengths(self) -> NDArray[np.uint16]:
        """UTF-8 bytes that each id stands for, (V,)."""
        return self._bytes.lengths

    def unknown_characters(self, text: str) -> dict[str, int]:  # noqa: ARG002 - only those that know all are taken
        """Every character is known."""
        return {}

    def token_bytes(self, token: int) -> bytes:
        """The bytes that an id stands for."""
        return self._bytes[token]

    def encode(self, text: str, unknown: Unknown = "error") -> TokenIds:  # noqa: ARG002 - the interface
        """Turn text into ids, (N,); text that looks like a special token stays text."""
        encode_utf8(text)  # refuses half a surrogate pair in words
        ids = self._library.encode(text, add_special_tokens=False).ids
        return id_array(ids, self.vocabulary_size)

    def decode(self, ids: AnyIds) -> str:
        """Turn ids into text; bytes that are not UTF-8 become replacement characters."""
        return self._bytes.decode(ids)

    def decoder(self) -> ByteTokensDecoder:
        """Start decoding a stream of ids."""
        return self._bytes.decoder()

    def _check_reversible(self) -> None:
        for probe in _PROBES:
            back = self.decode(self.encode(probe))
            if back != probe:
                place = next((n for n, (a, b) in enumerate(zip(probe, back, strict=False)) if a != b), 0)
                raise DataError(
                    f"This tokenizer loses text: {probe[place : place + 16]!r} comes back as "
                    f"{back[place : place + 16]!r}. Use one that is byte-level, or train one: treadle tokenizer train"
                )


def _parsed(definition: str) -> Any:  # noqa: ANN401 - the library's class, which may not be installed
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingExtraError(
            "This tokenizer.json needs the tokenizers library. Install it: pip install 'treadle[tokenizers]'"
        ) from error
    try:
        library = Tokenizer.from_str(definition)
    except Exception as error:  # the library raises nothing more exact
        raise DataError(f"This is no tokenizer.json that the tokenizers library can read: {error}.") from error
    library.no_truncation()
    library.no_padding()
    library.encode_special_tokens = True  # as plain text
    return library


def _tokens(library: Any, definition: Mapping[str, Any]) -> tuple[list[bytes], dict[str, int]]:  # noqa: ANN401
    """What each id stands for, in bytes, and the ids of the special tokens, which stand for nothing."""
    vocabulary: dict[str, int] = library.get_vocab(with_added_tokens=False)
    added = library.get_added_tokens_decoder()
    read = _reading(definition)
    tokens = [b""] * (max([*vocabulary.values(), *added], default=-1) + 1)
    for token, number in vocabulary.items():
        try:
            tokens[number] = read(token)
        except ValueError as error:
            raise DataError(f"The token {token!r} of this tokenizer stands for no bytes: {error}.") from error
    for number, token in added.items():
        tokens[number] = b"" if token.special else token.content.encode()
    return tokens, {token.content: number for number, token in added.items() if token.special}


def _reading(definition: Mapping[str, Any]) -> Callable[[str], bytes]:
    """How the decoder of the file makes bytes of a token."""
    decoder = definition.get("decoder") or {}
    parts = decoder["decoders"] if decoder.get("type") == "Sequence" else [decoder]
    types = {part.get("type") for part in parts}
    if types == {"ByteLevel"}:
        return from_symbols
    if "ByteFallback" in types:
        return _fallback
    named = ", ".join(sorted(str(name) for name in types))
    raise DataError(
        f"This tokenizer is not byte-level (its decoder is {named}), so it cannot give back every text. "
        "Use one that is, or train one: treadle tokenizer train"
    )


def _fallback(token: str) -> bytes:
    """SentencePiece's way: `<0x41>` is a byte, `▁` a space."""
    if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
        return bytes([int(token[3:5], 16)])
    return token.replace("\u2581", " ").encode()
