"""How the answers about tokenizers read in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from treadle.base import units

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Report = dict[str, Any]

_WIDTH = 80
_MOST_TEXTS = 20


def _trained(report: Report, _: Mapping[str, Any]) -> list[str]:
    """What was learned, and from what."""
    lines = [f"    {row['source']}: {row['detail']}" for row in report["refused"][:10]]
    learned = (
        f"{units.counted(report['documents'], 'document')}, {units.size(report['bytes'])}, {report['seconds']:.1f} s"
    )
    return [
        *lines,
        f"{report['kind']} tokenizer with {report['vocabulary']:,} ids: {report['file']}",
        f"  learned from {learned}",
        f"  bytes/token  {report['bytes_per_token']:.2f} on that text",
        f"  sha256       {report['sha256']}",
        f"Next: {report['next_step']}",
    ]


def _inspected(report: Report, _: Mapping[str, Any]) -> list[str]:
    """What it is, and the tokens of a text."""
    specials = ", ".join(f"{name} = {token:,}" for name, token in report["specials"].items())
    lengths = report["token_bytes"]
    longest = " ".join(_visible(token) for token in report["longest"])
    lines = [
        f"{report['name']} · {report['kind']} · {report['vocabulary']:,} ids",
        f"  specials     {specials}",
        f"  token bytes  {lengths['mean']:.2f} in the mean, {lengths['longest']:.0f} at most",
        f"  longest      {longest[: _WIDTH - 15]}",
        f"  sha256       {report['sha256']}",
    ]
    if report["pattern"]:
        lines.append(f"  pattern      {report['pattern']}")
    if report["pieces"]:
        size = sum(len(piece["bytes"]) // 2 for piece in report["pieces"])
        number = len(report["pieces"])
        lines.append(f"  text         {number:,} tokens for {size:,} bytes, {size / number:.2f} bytes/token")
        lines += _rows([_token(piece) for piece in report["pieces"]])
    for character, count in report["unknown"].items():
        lines.append(f"  unknown      {character!r} x {count:,}")
    return lines


def _compared(report: Report, _: Mapping[str, Any]) -> list[str]:
    """One row per tokenizer, and one row per text with the bytes per token of each."""
    names = [row["name"] for row in report["tokenizers"]]
    wide = max(12, *(len(_label(name)) for name in names))
    lines = [
        f"{'tokenizer':<{wide}} {'kind':<12} {'ids':>7} {'tokens':>12} {'bytes/token':>11} {'unknown':>8} {'MB/s':>7}"
    ]
    lines += [
        f"{_label(row['name']):<{wide}} {row['kind']:<12} {row['vocabulary']:>7,} {row['tokens']:>12,} "
        f"{row['bytes_per_token']:>11.2f} {row['unknown']:>8,} {row['megabytes_per_second']:>7.1f}"
        for row in report["tokenizers"]
    ]
    if len(report["texts"]) > 1:
        lines += ["", f"{'bytes/token':<36} {'size':>9}" + "".join(f" {_cut(name):>12}" for name in names)]
        for row in report["texts"][:_MOST_TEXTS]:
            figures = "".join(f" {_figure(row['figures'][name]):>12}" for name in names)
            lines.append(f"{row['source'][-36:]:<36} {units.size(row['bytes']):>9}{figures}")
        if len(report["texts"]) > _MOST_TEXTS:
            lines.append(f"and {len(report['texts']) - _MOST_TEXTS:,} more; all of them with --json")
    return lines + [f"    {row['source']}: {row['detail']}" for row in report["refused"][:10]]


def _figure(figures: Mapping[str, Any]) -> str:
    lacking = f" ({figures['unknown']:,} ?)" if figures["unknown"] else ""
    return f"{figures['bytes_per_token']:.2f}{lacking}"


def _label(name: str) -> str:
    """A model's name, or a file's without its folders."""
    return name.rpartition("/")[2]


def _cut(name: str) -> str:
    label = _label(name)
    return label if len(label) <= 12 else f"{label[:11]}…"


def _token(piece: Mapping[str, Any]) -> str:
    data = bytes.fromhex(piece["bytes"])
    try:
        return _visible(data.decode())
    except UnicodeDecodeError:
        return "".join(f"\\x{byte:02x}" for byte in data)


def _visible(text: str) -> str:
    """A token with its white space made visible, and nothing that moves the cursor."""
    marks = text.replace(" ", "·").replace("\n", "⏎").replace("\t", "⇥")
    return "".join(character if character.isprintable() else f"\\u{ord(character):04x}" for character in marks)


def _rows(tokens: list[str]) -> list[str]:
    rows, row = [], "   "
    for token in tokens:
        if len(row) + len(token) + 1 > _WIDTH and row.strip():
            rows.append(row)
            row = "   "
        row += f" {token}" if row == "   " else f"|{token}"
    return [*rows, row]


TOKENIZER_VIEWS: dict[str, Callable[[Report, Mapping[str, Any]], list[str]]] = {
    "tokenizer.train": _trained,
    "tokenizer.inspect": _inspected,
    "tokenizer.compare": _compared,
}
