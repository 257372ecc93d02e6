"""XML: the text of its elements, one block a line; plays keep their speakers.

Entities are not expanded and nothing outside the file is opened, so that a file cannot grow or reach out.
"""

from __future__ import annotations

import re
from typing import IO, TYPE_CHECKING
from xml.parsers import expat

from treadle.data.document import RefusedError
from treadle.data.readers.parsing import Items, reader, storable, text_of, tidy
from treadle.data.readers.sources import source_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from treadle.data.readers.config import ReadSettings

MOST_BYTES = 256 << 20
_CHUNK = 1 << 18
_SPACES = re.compile(r"\s+")
_SPEAKER = frozenset({"speaker"})
_SPEECH = frozenset({"speech", "sp"})
_INLINE = frozenset(
    {"a", "abbr", "b", "bold", "em", "emph", "hi", "i", "italic", "name", "q", "ref", "s", "seg", "span", "strong"}
    | {"sub", "sup", "u", "w"}
)
"""Elements inside a line, whatever the vocabulary."""


@reader
def read(path: Path, settings: ReadSettings) -> Items:  # noqa: ARG001 - as all readers
    """Read one XML file."""
    if path.stat().st_size > MOST_BYTES:
        raise RefusedError("too_large", f"XML of more than {MOST_BYTES >> 20} MB is not read. Split it.")
    found = _Text()
    with path.open("rb") as file:
        parse_xml(file, found.start, found.end, found.data)
    facts = {"format": "xml", "root": found.root}
    yield text_of(tidy("".join(found.parts)), source_of(path), facts)


def parse_xml(
    file: IO[bytes],
    start: Callable[[str, dict[str, str]], None],
    end: Callable[[str], None],
    data: Callable[[str], None],
) -> None:
    """Call back for each element (names in lower case, without namespace) and text; no entities, nothing external.

    Raises:
        RefusedError: It is not well-formed, declares entities of its own, or is nested too deeply.
    """
    parser = expat.ParserCreate()
    parser.buffer_text = True
    depth = 0

    def opened(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > 500:
            raise RefusedError("damaged", "Its elements are nested too deeply to be read.")
        start(_local(name), {_local(key): value for key, value in attributes.items()})

    def closed(name: str) -> None:
        nonlocal depth
        depth -= 1
        end(_local(name))

    parser.StartElementHandler = opened
    parser.EndElementHandler = closed
    parser.CharacterDataHandler = data
    parser.EntityDeclHandler = _refuse_entities
    parser.ExternalEntityRefHandler = lambda *_: 1  # passed over
    try:
        while chunk := file.read(_CHUNK):
            parser.Parse(chunk, False)  # noqa: FBT003 - expat's signature
        parser.Parse(b"", True)  # noqa: FBT003 - expat's signature
    except expat.ExpatError as error:
        place = f"line {error.lineno}, column {error.offset + 1}"
        raise RefusedError(
            "damaged", f"It is not well-formed XML: {expat.ErrorString(error.code)} at {place}."
        ) from error
    except (LookupError, ValueError) as error:
        raise RefusedError("encoding", f"Its XML cannot be decoded: {error}.") from error


def _refuse_entities(name: str, is_parameter: bool, value: str | None, *_: object) -> None:
    if value is not None and not is_parameter:
        raise RefusedError(
            "unknown_format", f"It declares the entity &{name[:40]}; which could make it grow without bound. Expand it."
        )


def _local(name: str) -> str:
    return name.rpartition(":")[2].rpartition("}")[2].lower()


class _Text:
    """Gathers the text of elements: each element that is not inside a line begins a line of its own."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.root = ""
        self._speaker = False

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        self.root = self.root or name
        self._break(name)
        self._speaker = name in _SPEAKER

    def end(self, name: str) -> None:
        if name in _SPEAKER:
            if self.parts and not self.parts[-1].rstrip().endswith((":", ".")):
                self.parts.append(":")
            self._speaker = False
        self._break(name)

    def _break(self, name: str) -> None:
        if name in _SPEECH:
            self.parts.append("\n\n")
        elif name not in _INLINE and self.parts and not self.parts[-1].endswith("\n"):
            self.parts.append("\n")

    def data(self, text: str) -> None:
        shown = _SPACES.sub(" ", storable(text))
        if self._speaker:
            shown = shown.strip()
        if shown.strip() or (self.parts and not self.parts[-1].endswith(("\n", " "))):
            self.parts.append(shown)
