"""JSON and JSON Lines: one document for each object; where a key holds text, that text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from treadle.data.document import RefusedError
from treadle.data.readers.decoding import decoded
from treadle.data.readers.parsing import Items, reader, sourced, text_of
from treadle.data.readers.sources import source_of
from treadle.data.readers.tables import other_columns, text_field

if TYPE_CHECKING:
    from pathlib import Path

    from treadle.data.document import Document, Refusal
    from treadle.data.readers.config import ReadSettings

MOST_BYTES = 256 << 20
MOST_LINE = 64 << 20
_MOST_BAD_LINES = 100
_SPEAKERS = ("role", "from", "speaker", "name")
_TURNS = ("messages", "conversations", "conversation", "turns", "dialog", "dialogue")


@reader
def read(path: Path, settings: ReadSettings) -> Items:
    """Read a JSON file: the objects of an array one by one, anything else as one document."""
    if path.stat().st_size > MOST_BYTES:
        raise RefusedError("too_large", f"JSON of more than {MOST_BYTES >> 20} MB is not read. Make it JSON Lines.")
    text = decoded(path.read_bytes())
    source = source_of(path)
    try:
        value = json.loads(text)
    except ValueError as error:
        first = text.partition("\n")[0].strip()
        if "\n" in text.strip() and first.startswith("{") and first.endswith("}"):
            yield from read_lines(path, settings)  # JSON Lines under the wrong name
            return
        raise RefusedError("damaged", f"It is no JSON: {error}.") from error
    if isinstance(value, list) and value and all(isinstance(one, dict | str) for one in value):
        for number, one in enumerate(value, 1):
            yield document_of(one, sourced(source, number), settings.text_field)
    else:
        yield document_of(value, source, settings.text_field)


@reader
def read_lines(path: Path, settings: ReadSettings) -> Items:
    """Read JSON Lines: each line is one document; lines that are no JSON are refused one by one."""
    source = source_of(path)
    bad = good = 0
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MOST_LINE + 1):
            number += 1
            if len(line) > MOST_LINE:
                raise RefusedError("too_large", f"Line {number} has more than {MOST_LINE >> 20} MB.")
            if not line.strip():
                continue
            try:
                value = json.loads(decoded(line))
            except (ValueError, RecursionError) as error:
                bad += 1
                yield RefusedError("damaged", f"It is no JSON: {error}.").refusal(sourced(source, number))
                if not good and bad >= _MOST_BAD_LINES:
                    raise RefusedError("damaged", "It is no JSON Lines: none of its lines is JSON.") from error
                continue
            good += 1
            yield document_of(value, sourced(source, number), settings.text_field)
    if not good and not bad:
        raise RefusedError("empty", "It holds no lines.")


def document_of(value: Any, source: str, wanted: str | None) -> Document | Refusal:  # noqa: ANN401 - JSON is any tree
    """The document that a value of JSON makes: its text, its turns as a chat log, or the value as it is written."""
    if isinstance(value, str):
        return text_of(value, source, {"format": "json"})
    if not isinstance(value, dict):
        return text_of(json.dumps(value, ensure_ascii=False, indent=1), source, {"format": "json"})
    turns = next((value[key] for key in _TURNS if isinstance(value.get(key), list)), None)
    if wanted is None and turns:
        chat = _chat(turns)
        if chat is not None:
            return text_of(chat, source, {"format": "json", "form": "chat", "turns": len(turns)})
    try:
        field = text_field([str(key) for key in value], wanted)
    except RefusedError as error:
        return error.refusal(source)
    if field is not None and isinstance(value.get(field), str):
        facts = {"format": "json", "text_column": field, "row": other_columns(value, field)}
        return text_of(value[field], source, facts)
    return text_of(json.dumps(value, ensure_ascii=False, indent=1), source, {"format": "json"})


def _chat(turns: list[Any]) -> str | None:
    """Turns as `speaker: text`; None where they are something else."""
    lines = []
    for turn in turns:
        if not isinstance(turn, dict):
            return None
        speaker = next((turn[key] for key in _SPEAKERS if isinstance(turn.get(key), str)), None)
        text = next((turn[key] for key in ("content", "value", "text") if isinstance(turn.get(key), str)), None)
        if speaker is None or text is None:
            return None
        lines.append(f"{speaker}: {text.strip()}")
    return "\n\n".join(lines)
