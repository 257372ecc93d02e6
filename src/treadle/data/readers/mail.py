"""E-mail: one document for each message, its subject, sender and text; attachments are refused by name."""

from __future__ import annotations

import email
import email.policy
from typing import TYPE_CHECKING, Any

from treadle.data.document import Refusal, RefusedError
from treadle.data.readers.markup import visible_text
from treadle.data.readers.parsing import Items, reader, sourced, storable, text_of
from treadle.data.readers.sources import source_of

if TYPE_CHECKING:
    from email.message import EmailMessage
    from pathlib import Path

    from treadle.data.readers.config import ReadSettings

MOST_BYTES = 64 << 20
_HEADERS = ("Subject", "From", "To", "Date")


@reader
def read(path: Path, settings: ReadSettings) -> Items:  # noqa: ARG001 - as all readers
    """Read one message."""
    if path.stat().st_size > MOST_BYTES:
        raise RefusedError("too_large", f"A message of more than {MOST_BYTES >> 20} MB is not read.")
    yield from _message(path.read_bytes(), source_of(path))


@reader
def read_mailbox(path: Path, settings: ReadSettings) -> Items:  # noqa: ARG001 - as all readers
    """Read the messages of a mailbox, one after another."""
    source = source_of(path)
    number = 0
    message: list[bytes] = []
    size = 0
    with path.open("rb") as file:
        while line := file.readline(MOST_BYTES):
            if line.startswith(b"From ") and message:
                number += 1
                yield from _message(b"".join(message), sourced(source, number))
                message, size = [], 0
            elif not line.startswith(b"From ") or message:
                message.append(line[1:] if line.startswith(b">From ") else line)
                size += len(line)
            if size > MOST_BYTES:
                raise RefusedError("too_large", f"Message {number + 1} has more than {MOST_BYTES >> 20} MB.")
    if message:
        yield from _message(b"".join(message), sourced(source, number + 1))


def _message(data: bytes, source: str) -> Items:
    try:
        message: EmailMessage = email.message_from_bytes(data, policy=email.policy.default)
        headers = {name: storable(str(message[name])) for name in _HEADERS if message[name]}
        text, attachments = _parts(message)
    except (LookupError, ValueError, TypeError, AttributeError, IndexError, AssertionError) as error:
        # Its parser raises these on headers that break its rules.
        yield Refusal(source, "damaged", f"It is no message that can be read: {type(error).__name__}: {error}.")
        return
    head = "\n".join(f"{name}: {value}" for name, value in headers.items())
    facts: dict[str, Any] = {"format": "mail", **{name.lower(): value for name, value in headers.items()}}
    if not head and not text.strip():
        yield Refusal(source, "empty", "It has neither headers nor text.")
    else:
        yield text_of(f"{head}\n\n{text.strip()}\n" if head else text, source, facts)
    for name in attachments:
        yield Refusal(f"{source}!/{name}", "unknown_format", "It is an attachment. Save it and give the file.")


def _parts(message: EmailMessage) -> tuple[str, list[str]]:
    plain: list[str] = []
    pages: list[str] = []
    attachments: list[str] = []
    for part in message.walk():
        if part.is_multipart():
            continue
        kind = part.get_content_type()
        name = part.get_filename()
        if name or part.get_content_disposition() == "attachment" or not kind.startswith("text/"):
            attachments.append(storable(name or kind))
            continue
        payload = part.get_payload(decode=True)
        data = payload if isinstance(payload, bytes) else b""
        try:
            text = data.decode(part.get_content_charset() or "utf-8", "replace")
        except (LookupError, ValueError):
            text = data.decode("utf-8", "replace")
        (pages if kind == "text/html" else plain).append(storable(text))
    return ("\n\n".join(plain) if plain else "\n\n".join(visible_text(page)[0] for page in pages)), attachments
