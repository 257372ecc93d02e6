"""Pages: a template filled with what every page shows around its own content."""

from __future__ import annotations

import datetime as dt
import json
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jinja2
from markupsafe import Markup
from starlette.responses import HTMLResponse

import treadle
from treadle.base import units
from treadle.base.errors import TreadleError
from treadle.web.door import door
from treadle.web.forms import fields_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from treadle.web.door import Identity

NAVIGATION: Final = (
    ("home", "Home", "/"),
    ("data", "Data", "/data"),
    ("models", "Models", "/models"),
    ("train", "Train", "/train"),
    ("generate", "Generate", "/generate"),
    ("prompts", "Prompts", "/prompts"),
    ("gallery", "Gallery", "/gallery"),
    ("queue", "Queue", "/queue"),
    ("runs", "Runs", "/runs"),
    ("flow", "Flow", "/flow"),
    ("system", "System", "/system"),
)
"""The pages in the order of the navigation: module, label, address."""
MODEL_COOKIE: Final = "treadle_model"
_FOLDER = Path(__file__).parent


def page(request: Request, template: str, **context: Any) -> HTMLResponse:  # noqa: ANN401 - templates take anything
    """Render `template` with `context`, the navigation, the models, the chosen model and who looks at it."""
    identity: Identity = request.scope["state"]["identity"]
    known = context.pop("models", None)
    models = _models(request) if known is None else known
    names = [model["name"] for model in models]
    model, chosen = chosen_model(request, names)
    around = {
        "identity": identity,
        "navigation": NAVIGATION,
        "here": request.url.path,
        "models": models,
        "model": model,
        "csrf": identity.csrf,
        "cursor": "" if identity.name == "nobody" else request.app.state.hub.cursor(),
        "workspace_name": request.app.state.workspace.root.name,
        "version": treadle.__version__,
        "now": time.time(),
    }
    text = environment().get_template(template).render({**around, **context})
    answer = HTMLResponse(text, context.get("status", 200), {"cache-control": "no-store"})
    if chosen and model is not None:
        answer.set_cookie(MODEL_COOKIE, model, max_age=365 * 86_400, samesite="lax", path="/")
    return answer


def chosen_model(request: Request, names: Sequence[str]) -> tuple[str | None, bool]:
    """The model that the page is about, and whether the address names it: `?model=`, the cookie, or the first."""
    asked = request.query_params.get("model")
    if asked in names:
        return asked, True
    remembered = request.cookies.get(MODEL_COOKIE)
    return (remembered, False) if remembered in names else (names[0] if names else None, False)


def _models(request: Request) -> list[dict[str, Any]]:
    if request.scope["state"]["identity"].name == "nobody":
        return []
    try:
        found: list[dict[str, Any]] = door(request).call("list")["models"]
    except TreadleError:
        return []
    return found


@cache
def environment() -> jinja2.Environment:
    """The templates, with everything escaped unless it was made safe on the server."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "bytes": units.size,
        "duration": units.duration,
        "count": units.count,
        "rate": units.rate,
        "number": _number,
        "ago": ago,
        "when": _when,
        "json_data": json_data,
    }
    made.globals |= {"fields_of": fields_of, "loss_measure": units.loss_measure}
    return made


def json_data(value: Any) -> Markup:  # noqa: ANN401 - JSON is any tree of plain values
    """JSON for a `<script type="application/json">`: nothing in it can end the element."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - what could be markup was escaped in the lines above


def ago(seconds: float | str | None, now: float | None = None) -> str:
    """How long ago a moment was: `just now`, `3 min ago`, `2 d ago`."""
    if seconds is None:
        return "never"
    moment = dt.datetime.fromisoformat(seconds).timestamp() if isinstance(seconds, str) else seconds
    past = (time.time() if now is None else now) - moment
    if past < 45:
        return "just now"
    for limit, unit, word in ((3600, 60, "min"), (86_400, 3600, "h")):
        if past < limit * 0.98:
            return f"{max(1, round(past / unit))} {word} ago"
    return f"{round(past / 86_400)} d ago"


def _when(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _number(value: float | None, digits: int = 0) -> str:
    return "\N{EN DASH}" if value is None else f"{value:,.{digits}f}"
