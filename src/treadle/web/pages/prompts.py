"""The pages of prompts: the list, a new one by questions or by hand, and one with its versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Request, Response

from treadle.prompts.checks import CHARACTERS_PER_TOKEN, MOST_TOKENS
from treadle.prompts.config import DEFAULT_NEGATIVE
from treadle.prompts.record import INPUT_KINDS
from treadle.recipes.prompts import settings_class
from treadle.web.door import door, offered
from treadle.web.forms import fields_of, setting_fields_of
from treadle.web.page import page
from treadle.web.pages.generate import writers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from treadle.web.forms import Field

router = APIRouter()
PURPOSES: Final = {"video": "a video", "text": "text"}
_LENGTH: Final = {"ratio": CHARACTERS_PER_TOKEN, "most": MOST_TOKENS}
_HINTS: Final = {
    "length": "Let a model write more of it, once it is kept.",
    "weight": "Give {kind} a weight in the settings.",
    "weights": "Give one a weight in the settings: edge, vis, depth or seg.",
    "nothing": "Add a video to the files that go with it, and give a control a weight in the settings.",
    "source": "Add a video, or the map itself, to the files that go with it.",
    "input": "Give the {kind} anew among the files that go with it.",
}
"""What remarks mean on a page, where nobody types flags."""
_FIRST_HINTS: Final = _HINTS | {
    "source": "It needs a video, or a map for each control: add them to the files that go with it."
}
"""The same on the page of a new prompt, where nothing is wrong yet: what is still to come is no error."""
_ASKED: Final = ("prompts", "host", "backend")
"""What stands open when a video is to be made; the other arguments are one click away."""


@router.get("/prompts")
def prompts(request: Request, q: str = "", tag: str = "") -> Response:
    """All prompts, or those with some words and a tag; and the templates that new ones can be made of."""
    ask = door(request)
    every = ask.call("prompt.list")
    words = q.split()
    found = ask.call("prompt.search", words=words, tag=tag or None)["prompts"] if words or tag else every["prompts"]
    return page(
        request,
        "prompts.html",
        prompts=sorted(found, key=lambda one: -one["created"]),
        any_prompts=bool(every["prompts"]),
        damaged=every["damaged"],
        tags=sorted({word for one in every["prompts"] for word in one["tags"]}),
        q=q,
        tag=tag,
        templates=ask.call("prompt.template")["templates"],
        purposes=PURPOSES,
    )


@router.get("/prompts/new")
def new(request: Request, template: str = "", purpose: str = "video") -> Response:
    """A new prompt: by the questions of a template, or by hand."""
    ask = door(request)
    ask.entry("prompt.new")
    templates = ask.call("prompt.template", name=template or None)
    chosen = next((one for one in templates["templates"] if one["name"] == templates["chosen"]), None)
    kind = chosen["purpose"] if chosen else purpose if purpose in PURPOSES else "video"
    preview = ask.call("prompt.wizard", template=template) if chosen else None
    return page(
        request,
        "prompt_new.html",
        scene=chosen,
        preview=preview,
        purpose=kind,
        purposes=PURPOSES,
        fields=_fields(kind, preview["complete_settings"] if preview else {}),
        kinds=INPUT_KINDS,
        length_of=_LENGTH,
        default_negative=DEFAULT_NEGATIVE,
        hints=_FIRST_HINTS,
    )


@router.get("/prompts/stored/{name}")
def one_prompt(request: Request, name: str, version: int | None = None, against: int | None = None) -> Response:
    """One prompt: a version of it, what differs from another, and what can be done with it."""
    ask = door(request)
    shown = ask.call("prompt.show", name=name, version=version, diff=against)
    newest = shown["versions"][-1]
    models = ask.call("list")["models"]
    return page(
        request,
        "prompt.html",
        prompt=shown,
        newest=newest,
        versions=shown["versions"][::-1],
        against=against,
        made_by=_writer(shown["made_by"]),
        changed=_differing(shown),
        fields=_fields(shown["purpose"], shown["complete_settings"]),
        kinds=INPUT_KINDS,
        length_of=_LENGTH,
        default_negative=DEFAULT_NEGATIVE,
        hints={**_HINTS, "length": "A model can write more of it, below."} if ask.identity.may("operator") else {},
        writers=writers(models),
        hosts=[one["name"] for one in ask.call("host.list")["hosts"]] if shown["purpose"] == "video" else [],
        movers=[one["name"] for one in models if one["unit"] == "clips" and one["steps"]],
        purposes=PURPOSES,
        can_run=shown["purpose"] == "video" and "transfer.run" in offered(),
        run_more=_seldom_asked(),
    )


def _fields(purpose: str, values: Mapping[str, Any]) -> list[Field]:
    """The settings of a prompt as fields; lists of texts are given on the command line."""
    return [one for one in setting_fields_of(settings_class(purpose), values) if one.kind != "list"]


def _differing(shown: Mapping[str, Any]) -> list[tuple[str, Any, bool]]:
    """Settings with their values, those that differ from the usual ones first and marked."""
    rows = [(key, value, key in shown["settings"]) for key, value in shown["complete_settings"].items()]
    return sorted(rows, key=lambda row: not row[2])


def _seldom_asked() -> list[str]:
    """Arguments of making a video that are one click away."""
    return [one.name for one in fields_of("transfer.run", without=_ASKED)] if "transfer.run" in offered() else []


def _writer(made_by: Mapping[str, Any]) -> str:
    """Who or what wrote the text, if not a person."""
    if "template" in made_by:
        return f"the template {made_by['template']}"
    where = f" on {made_by['host']}" if "host" in made_by else ""
    return f"{made_by.get('enhanced_by') or made_by.get('recalled_from') or ''}{where}"
