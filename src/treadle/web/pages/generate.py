"""The pages that let models write: the playground, the chat, and the look inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from treadle.base.errors import TreadleError
from treadle.web.door import door
from treadle.web.forms import fields_of
from treadle.web.page import chosen_model, page

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from treadle.web.door import Door

router = APIRouter()
_OFTEN = ("temperature", "tokens", "top_k", "top_p", "min_p")
"""Settings that stand open on the page; the others are one click away."""
_SHOWN_SAMPLES = 12
_START = 90


@router.get("/generate")
def generate(request: Request, prompt: str = "", seed: str = "", step: str = "", saved: str = "") -> Response:
    """The playground: one prompt and seed, one model or two settings beside each other; `saved` names a prompt."""
    given: dict[str, Any] = {}
    if saved:
        stored = door(request).call("prompt.show", name=saved)
        prompt, given = stored["text"], stored["settings"]
        seed = seed or str(given.get("seed", ""))
    return _page(request, "generate.html", given, with_samples=True, prompt=prompt, seed=seed, step=step)


@router.get("/generate/chat")
def chat(request: Request) -> Response:
    """A text written in turns."""
    return _page(request, "generate_chat.html")


@router.get("/generate/inspect")
def inspect(request: Request, text: str = "") -> Response:
    """How well a model expects each token of a text, and what its heads attend to."""
    return _page(request, "generate_inspect.html", text=text)


def writers(models: Iterable[Mapping[str, Any]]) -> list[str]:
    """Names of those models that can write."""
    return [model["name"] for model in models if model["steps"] and model["unit"] == "tokens"]


def _page(
    request: Request,
    template: str,
    given: Mapping[str, Any] | None = None,
    *,
    with_samples: bool = False,
    **context: Any,  # noqa: ANN401 - what the template shows
) -> Response:
    ask = door(request)
    models = ask.call("list")["models"]
    names = writers(models)
    chosen, _ = chosen_model(request, [model["name"] for model in models])
    writer = chosen if chosen in names else (names[0] if names else None)
    about: dict[str, Any] = {"name": "", "steps": [], "settings": {}} if writer is None else _about(ask, writer)
    settings = list(_names())
    values = {**about["settings"], **(given or {})}
    return page(
        request,
        template,
        models=models,
        writers=names,
        writer=writer,
        about=about,
        samples=_samples(ask, writer) if with_samples and writer is not None else [],
        often=fields_of("sample", values, only=_OFTEN),
        seldom=fields_of("sample", values, only=[name for name in settings if name not in (*_OFTEN, "seed")]),
        **context,
    )


def _about(ask: Door, model: str) -> dict[str, Any]:
    """The checkpoints of a model, the newest first, and its own settings; its page says why if it cannot be read."""
    try:
        shown = ask.call("show", model=model)
    except TreadleError:
        return {"name": model, "steps": [], "settings": {}}
    steps = sorted((row["step"] for row in shown["checkpoints"]), reverse=True)
    return {"name": model, "steps": steps, "settings": _own(shown["settings"])}


def _samples(ask: Door, model: str) -> list[dict[str, Any]]:
    """What the newest training let the model write, the last first."""
    runs = [run["id"] for run in ask.call("runs.list", model=model, kind="train", count=20)["runs"] if run["step"]]
    found = ask.call("runs.show", run=runs[0])["samples"] if runs else []
    return [
        {
            "step": one["step"],
            "text": one["text"],
            "start": " ".join(one["text"].split())[:_START],
            "prompt": one.get("prompt", ""),
            "seed": one.get("seed", ""),
        }
        for one in found[-_SHOWN_SAMPLES:][::-1]
        if "text" in one
    ]


def _own(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The model's own settings of generation, which stand where nothing is given."""
    return {
        key.removeprefix("generation."): row["value"] for key, row in settings.items() if key.startswith("generation.")
    }


def _names() -> Iterable[str]:
    from treadle.generation.config import GenerationSettings

    return GenerationSettings.model_fields
