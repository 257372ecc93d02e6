"""Unigram language model over pieces (Kudo 2018), trained and encoded by SentencePiece; the extra `tokenizers`.

SentencePiece is told to change nothing: no normalisation, no added space, bytes for what has no piece. It writes a
space as `▁` and cannot tell it from a `▁` of the text, which is therefore encoded by its bytes here. Its `<unk>`, which
nothing is encoded to when bytes stand in, is the boundary.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from treadle.base.errors import DataError, MissingExtraError
from treadle.data.document import encode_utf8
from treadle.data.tokenizers.byte_tokens import ByteTokens
from treadle.data.tokenizers.choice import VOCABULARIES
from treadle.data.tokenizers.tokenizer import NO_TEXT, id_array

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from treadle.data.tokenizers.byte_tokens import ByteTokensDecoder
    from treadle.data.tokenizers.tokenizer import AnyIds, TokenIds, Unknown

BOUNDARY: Final = 0
_SPACE: Final = "\u2581"
_BYTES_AND_BOUNDARY: Final = 257
_COVERAGE: Final = 0.9999
"""Share of the characters that get a piece of their own where there is room; the others are said by their bytes."""
_SENTENCE: Final = 16_384
"""Characters of the longest line that the trainer is given; longer ones are cut."""
_SETTINGS: Final = {
    "model_type": "unigram",
    "byte_fallback": True,
    "normalization_rule_name": "identity",
    "add_dummy_prefix": False,
    "remove_extra_whitespaces": False,
    "allow_whitespace_only_pieces": True,
    "split_digits": True,
    "unk_id": BOUNDARY,
    "bos_id": -1,
    "eos_id": -1,
    "pad_id": -1,
    "character_coverage": 1.0,
    "hard_vocab_limit": False,
    "max_sentence_length": 4 * _SENTENCE,
    "num_threads": 1,  # more of them add up in another order each time
    "minloglevel": 2,
}


class UnigramTokenizer:
    """A trained SentencePiece model, kept as its own bytes."""

    kind: ClassVar[str] = "unigram"
    boundary = BOUNDARY

    def __init__(self, model: bytes) -> None:
        """Take the serialised model; raises `DataError` if it is none, or one that changes text."""
        self._model = model
        count = self._processor.vocab_size()
        pieces = [self._processor.id_to_piece(token) for token in range(count)]
        self._byte_ids = {int(piece[3:5], 16): n for n, piece in enumerate(pieces) if self._processor.is_byte(n)}
        if len(self._byte_ids) != 256 or not self._processor.is_unknown(BOUNDARY):
            raise DataError("This SentencePiece model has no pieces for single bytes, so it would lose text.")
        byte_of = {token: bytes([byte]) for byte, token in self._byte_ids.items()}
        tokens = [byte_of.get(n, piece.replace(_SPACE, " ").encode()) for n, piece in enumerate(pieces)]
        tokens[BOUNDARY] = b""
        self._bytes = ByteTokens(tokens, BOUNDARY)
        self.vocabulary_size = count

    @classmethod
    def train(cls, texts: Iterable[str], vocabulary: int = 0) -> Self:
        """Learn at most `vocabulary` ids, the boundary included; the order of the texts makes no difference."""
        trainer = _library().SentencePieceTrainer
        lines = sorted(filter(None, _lines(texts)))
        if not lines:
            raise DataError(NO_TEXT)
        written = io.BytesIO()
        size = vocabulary or VOCABULARIES[cls.kind]
        try:
            trainer.train(
                sentence_iterator=_with_frequent_characters(lines, (size - _BYTES_AND_BOUNDARY) // 2),
                model_writer=written,
                vocab_size=size,
                **_SETTINGS,
            )
        except (RuntimeError, OSError) as error:
            reason = str(error).strip().splitlines()[-1]
            raise DataError(f"SentencePiece cannot learn a vocabulary of {size:,} from this text: {reason}") from error
        return cls(written.getvalue())

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> Self:
        """Rebuild from `describe`."""
        model = description.get("model")
        if set(description) != {"kind", "model"} or not isinstance(model, str):
            raise DataError("A unigram tokenizer's description must hold its `model`, and nothing else.")
        try:
            return cls(base64.b64decode(model, validate=True))
        except binascii.Error as error:
            raise DataError(f"The model of a unigram tokenizer is damaged: {error}.") from error

    def describe(self) -> dict[str, Any]:
        """The kind and the SentencePiece model."""
        return {"kind": self.kind, "model": base64.b64encode(self._model).decode()}

    def pieces(self) -> list[tuple[str, float]]:
        """Each id's piece as SentencePiece writes it, and its log-probability."""
        ids = range(self.vocabulary_size)
        return [(self._processor.id_to_piece(token), float(self._processor.get_score(token))) for token in ids]

    @property
    def byte_lengths(self) -> NDArray[np.uint16]:
        """UTF-8 bytes that each id stands for, (V,)."""
        return self._bytes.lengths

    def unknown_characters(self, text: str) -> dict[str, int]:  # noqa: ARG002 - the interface; every byte is known
        """Every character is known, by its bytes if need be."""
        return {}

    def token_bytes(self, token: int) -> bytes:
        """The bytes that an id stands for."""
        return self._bytes[token]

    def encode(self, text: str, unknown: Unknown = "error") -> TokenIds:  # noqa: ARG002 - the interface
        """Turn text into ids, (N,)."""
        encode_utf8(text)  # refuses half a surrogate pair in words
        ids: list[int] = []
        for number, part in enumerate(text.split(_SPACE)):
            if number:
                ids += [self._byte_ids[byte] for byte in _SPACE.encode()]
            ids += self._processor.encode(part)
        return id_array(ids, self.vocabulary_size)

    def decode(self, ids: AnyIds) -> str:
        """Turn ids into text; bytes that are not UTF-8 become replacement characters."""
        return self._bytes.decode(ids)

    def decoder(self) -> ByteTokensDecoder:
        """Start decoding a stream of ids."""
        return self._bytes.decoder()

    @cached_property
    def _processor(self) -> Any:  # noqa: ANN401 - the library has no usable types
        try:
            return _library().SentencePieceProcessor(model_proto=self._model)
        except RuntimeError as error:
            raise DataError("The model of a unigram tokenizer is damaged. Restore it from a copy.") from error


def _lines(texts: Iterable[str]) -> Iterator[str]:
    """Sentences for the trainer: lines, cut where they are longer than it takes."""
    for text in texts:
        encode_utf8(text)
        for line in text.splitlines():
            for start in range(0, len(line), _SENTENCE):
                yield line[start : start + _SENTENCE]


def _with_frequent_characters(lines: list[str], most: int) -> Iterator[str]:
    """Lines cut at characters that get no piece of their own: beyond the `most` frequent, or hardly ever there."""
    counts: Counter[str] = Counter()
    for line in lines:
        counts.update(line)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rest, allowed = counts.total(), (1 - _COVERAGE) * counts.total()
    kept = set()
    for character, count in ranked[:most]:
        if rest <= allowed:
            break
        kept.add(character)
        rest -= count
    ends = {ord(character): "\n" for character in counts if character not in kept}
    for line in lines:
        yield from (part for part in line.translate(ends).split("\n") if part)


def _library() -> Any:  # noqa: ANN401 - a module
    try:
        import sentencepiece
    except ImportError as error:
        raise MissingExtraError(
            "The unigram tokenizer needs SentencePiece. Install it: pip install 'treadle[tokenizers]'"
        ) from error
    return sentencepiece
