"""The OpenAPI document, made from the operations table when somebody asks for it."""

from __future__ import annotations

import shlex
from functools import cache
from typing import TYPE_CHECKING, Any

import treadle
from treadle.base.errors import TreadleError
from treadle.web.door import level_for, offered

if TYPE_CHECKING:
    from treadle.operations.operation import Operation

_ERRORS = {
    "400": "The body is not JSON.",
    "401": "Nobody is logged in, or the key is not known.",
    "403": "The level does not reach, or a page of another site asked.",
    "404": "What was named does not exist.",
    "409": "Not now: something must be done first, or the work failed.",
    "413": "The body is too large.",
    "415": "The body is not declared as JSON.",
    "421": "The server does not answer to that name.",
    "422": "An argument is wrong; the message names it.",
    "429": "Too many wrong passwords.",
    "501": "An optional part is not installed; the message gives the command.",
    "507": "The machine lacks memory, disk or a program.",
}


@cache
def arguments_schema(entry: Operation) -> dict[str, Any]:
    """JSON schema of the arguments of an operation, without references."""
    schema = {key: value for key, value in entry.request_schema().items() if key != "title"}
    properties = dict(schema.get("properties", {}))
    for parameter in entry.parameters():
        if parameter.settings is not None:  # clients may give each setting by itself, or all under the section's name
            definition = schema["$defs"][properties[parameter.name]["$ref"].rpartition("/")[2]]
            properties[parameter.name] = {**definition, "description": f"settings of {parameter.settings.section}"}
            properties |= {name: field for name, field in definition["properties"].items() if name not in properties}
    schema.pop("$defs", None)
    if entry.kind == "heavy":
        properties.pop("detach", None)
    return {"type": "object", "additionalProperties": False, **schema, "properties": properties}


def example(entry: Operation, line: str) -> dict[str, Any] | None:
    """The arguments of a command line in the documentation; None if only a terminal can run it."""
    words = shlex.split(line, comments=True)
    skip = 1 + len(entry.name.split("."))
    if any(word in {"<", "|", "-", "&&", ">"} for word in words):
        return None
    parameters = {parameter.name: parameter for parameter in entry.parameters()}
    properties = arguments_schema(entry)["properties"]
    places = [name for name, parameter in parameters.items() if parameter.positional]
    found: dict[str, Any] = {}
    rest = words[skip:]
    while rest:
        word = rest.pop(0)
        if word in {"--json", "--detach"}:
            continue
        if word == "--workspace":
            rest[:1] = []
            continue
        if word.startswith("--"):
            name = word[2:].replace("-", "_")
            if name not in properties:
                return None
            if properties[name].get("type") == "boolean":
                found[name] = True
            elif rest:
                _put(found, name, properties[name], rest.pop(0))
        else:
            free = [name for name in places if name not in found or properties[name].get("type") == "array"]
            if not free:
                return None
            _put(found, free[0], properties[free[0]], word)
    return found


def _put(found: dict[str, Any], name: str, schema: dict[str, Any], word: str) -> None:
    kinds = {schema.get("type"), *(one.get("type") for one in schema.get("anyOf", ()))}
    if "array" in kinds:
        found.setdefault(name, []).append(word)
    elif kinds & {"integer", "number"} and "string" not in kinds:
        number = float(word)
        found[name] = int(number) if number.is_integer() else number
    else:
        found[name] = word


def description(server: str) -> dict[str, Any]:
    """The whole document."""
    paths = {f"/api/v1/operations/{name}": {"post": _described(entry)} for name, entry in offered().items()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Treadle",
            "version": treadle.__version__,
            "description": "Every operation of Treadle over HTTP. `GET /api/v1/events` streams what happens.",
        },
        "servers": [{"url": server}],
        "paths": {**paths, "/api/v1/operations": _table(), "/api/v1/session": _session()},
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Error": _error()},
        },
        "security": [{}, {"key": []}],
    }


def _described(entry: Operation) -> dict[str, Any]:
    examples: dict[str, Any] = {}
    for line in entry.examples:
        try:
            value = example(entry, line)
        except (ValueError, KeyError, TreadleError):
            continue
        if value is not None:
            examples[f"example{len(examples) + 1}"] = {"summary": line, "value": value}
    body: dict[str, Any] = {"schema": arguments_schema(entry)}
    if examples:
        body["examples"] = examples
    answers = {
        "light": ("the operation's answer", "application/json"),
        "heavy": ("the job that was queued: `job`, `run`, `queue`, `state`, `position`", "application/json"),
        "interactive": ("events as they happen; the one of type `result` is the answer", "text/event-stream"),
        "following": ("events of the job; the one of type `result` is the answer", "text/event-stream"),
    }
    said, media = answers[entry.kind]
    content = {media: {"schema": {"type": "object" if media == "application/json" else "string"}}}
    wrong = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {
        "operationId": entry.method,
        "summary": entry.summary,
        "description": f"{entry.description}\n\nNeeds the level {level_for(entry)}.",
        "tags": [entry.noun or "models"],
        "requestBody": {"required": True, "content": {"application/json": body}},
        "responses": {
            "200": {"description": said, "content": content},
            **{status: {"description": why, "content": wrong} for status, why in _ERRORS.items()},
        },
    }


def _table() -> dict[str, Any]:
    content = {"application/json": {"schema": {"type": "object", "required": ["operations"]}}}
    return {
        "get": {
            "operationId": "operations",
            "summary": "All operations, with the schemas of their arguments.",
            "responses": {"200": {"description": "the table", "content": content}},
        }
    }


def _session() -> dict[str, Any]:
    content = {"application/json": {"schema": {"type": "object", "required": ["name", "level", "csrf"]}}}
    return {
        "get": {
            "operationId": "session",
            "summary": "Who asks, and what they may.",
            "responses": {
                "200": {"description": "who", "content": content},
                "401": {"description": _ERRORS["401"]},
            },
        }
    }


def _error() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "required": ["ok", "error", "kind", "remedy"],
        "properties": {"ok": {"const": False}, "error": text, "kind": text, "remedy": text},
    }
