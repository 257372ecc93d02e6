"""GPT-2's alphabet: each byte as one visible character, so that any bytes can stand in a JSON text.

Printable Latin-1 stands for itself, the other 68 bytes for the characters from U+0100 on; a space becomes `Ġ`. It is
what `tokenizer.json` files of byte-level BPE are written in (Radford et al. 2019, `encoder.py`).
"""

from __future__ import annotations

from typing import Final

_PRINTABLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_OTHERS = [byte for byte in range(256) if byte not in _PRINTABLE]
_SYMBOLS: Final = {**{byte: byte for byte in _PRINTABLE}, **{byte: 0x100 + n for n, byte in enumerate(_OTHERS)}}
_BYTES: Final = {symbol: byte for byte, symbol in _SYMBOLS.items()}


def to_symbols(data: bytes) -> str:
    """Write bytes in the alphabet, one character each."""
    return data.decode("latin-1").translate(_SYMBOLS)


def from_symbols(text: str) -> bytes:
    """Read what `to_symbols` wrote; raises `ValueError` for a character outside the alphabet."""
    try:
        return bytes([_BYTES[point] for point in map(ord, text)])
    except KeyError as error:
        raise ValueError(f"U+{error.args[0]:04X} stands for no byte") from error
