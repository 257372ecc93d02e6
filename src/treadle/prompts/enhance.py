"""Let a model behind an OpenAI-compatible address turn a few words into a full description."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from treadle.base.errors import NotReadyError, ResourceError, SettingsError

KEY_VARIABLE = "TREADLE_ENHANCE_KEY"
"""Environment variable of the key; it is sent as a bearer token and written nowhere."""
_HERE = ("localhost", "127.0.0.1", "::1")
_MOST_ANSWER_BYTES = 1 << 20
_MOST_REASON_BYTES = 1 << 16
_INSTRUCTION = (
    "You write prompts for a video model. Rewrite the user's text as one paragraph of 60 to 120 words in plain "
    "English: what is seen, materials, light, weather, camera, motion. Keep every fact that the user gives, invent "
    "no people, brands or text. Answer with the paragraph only."
)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A key must not follow a redirection to another host."""

    def redirect_request(self, *_: Any) -> None:  # noqa: ANN401 - urllib's own signature
        return None


def enhanced(text: str, address: str, model: str | None, seconds: float) -> tuple[str, str]:
    """Ask the server at `address` (such as `http://127.0.0.1:8000/v1`) for a better text.

    Returns it and the name of the model that wrote it.

    Raises `SettingsError` for an address that cannot be meant, `NotReadyError` when the server cannot be reached or
    refuses, `ResourceError` when its answer is of no use.
    """
    base = _checked(address)
    name = model or _first_model(base, seconds)
    body = {
        "model": name,
        "messages": [{"role": "system", "content": _INSTRUCTION}, {"role": "user", "content": text}],
        "temperature": 0.7,
        "max_tokens": 400,
    }
    answer = _asked(f"{base}/chat/completions", seconds, body)
    try:
        content = answer["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError) as error:
        raise ResourceError(f"{base} answered without a text; is it an OpenAI-compatible server?") from error
    better = " ".join(str(content or "").split())
    if not better:
        raise ResourceError(f"`{name}` at {base} answered with an empty text. Try again, or another model.")
    return better, name


def _checked(address: str) -> str:
    parts = urllib.parse.urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SettingsError(f"`{address}` is no address of a server; write it like http://127.0.0.1:8000/v1")
    if parts.username or parts.password:
        raise SettingsError(f"Put the key into the environment variable {KEY_VARIABLE}, not into the address.")
    return address.rstrip("/")


def _first_model(base: str, seconds: float) -> str:
    answer = _asked(f"{base}/models", seconds)
    try:
        return str(answer["data"][0]["id"])
    except (KeyError, IndexError, TypeError) as error:
        raise ResourceError(f"{base} offers no model; name one with --model.") from error


def _asked(address: str, seconds: float, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get(KEY_VARIABLE):
        headers["Authorization"] = f"Bearer {key}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, headers)  # noqa: S310 - the scheme was checked
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=seconds) as answer:
            raw = answer.read(_MOST_ANSWER_BYTES + 1)
    except urllib.error.HTTPError as error:
        with error:
            said = _reason(error.read(_MOST_REASON_BYTES)) or str(error.reason)
        raise NotReadyError(f"{address} answered {error.code}: {said.rstrip('.')}.{_hint(error.code)}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        here = urllib.parse.urlsplit(address).hostname in _HERE
        hint = "`treadle serve` starts one here." if here else "Is the address right?"
        raise NotReadyError(f"No answer from {address} ({reason}). Is the server running? {hint}") from error
    if len(raw) > _MOST_ANSWER_BYTES:
        raise ResourceError(f"{address} answered with more than 1 MB; that is no prompt.")
    try:
        return json.loads(raw)
    except ValueError as error:
        raise ResourceError(f"{address} did not answer with JSON; is it an OpenAI-compatible server?") from error


def _reason(body: bytes) -> str:
    """What a server says of a refusal: the message in it, where it is in OpenAI's form, else how it begins."""
    try:
        said = json.loads(body)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        said = body.decode(errors="replace")
    return " ".join(str(said).split())[:300]


def _hint(code: int) -> str:
    """What may help against a refusal."""
    if code in {401, 403}:
        return f" Set the key in {KEY_VARIABLE}."
    return " Another model may do it: --model NAME, or another server." if code in {400, 404, 413, 422} else ""
