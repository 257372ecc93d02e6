"""The known tokenizers. A new kind is one file beside this one, and one line here."""

from __future__ import annotations

from treadle.registry.catalogue import Catalogue

TOKENIZERS = Catalogue(
    "tokenizer",
    {
        "bpe": "treadle.data.tokenizers.bpe:BpeTokenizer",
        "bytes": "treadle.data.tokenizers.bytes:BytesTokenizer",
        "char": "treadle.data.tokenizers.char:CharTokenizer",
        "huggingface": "treadle.data.tokenizers.huggingface:HuggingFaceTokenizer",
        "unigram": "treadle.data.tokenizers.unigram:UnigramTokenizer",
    },
)
