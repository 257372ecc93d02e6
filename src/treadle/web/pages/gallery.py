"""The pages of the gallery: results side by side, one of them with its original, and the files themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Request, Response
from starlette.responses import FileResponse

from treadle.base.errors import DataError, MissingExtraError, NotFoundError, UsageError
from treadle.recipes.gallery import find, original
from treadle.recipes.gallery_items import PICTURES, VIDEOS
from treadle.recipes.gallery_items import media as is_media
from treadle.registry.catalogue import load
from treadle.web.door import door
from treadle.web.page import page

if TYPE_CHECKING:
    from pathlib import Path

    from treadle.recipes.gallery_items import Item

router = APIRouter()
_SHOWN: Final = 60
_MOST: Final = 600


@router.get("/gallery")
def gallery(
    request: Request, q: str = "", tag: str = "", rating: str = "", kind: str = "", order: str = "newest",
    removed: str = "", count: int = _SHOWN,
) -> Response:  # fmt: skip
    """Results as a grid: those with some words, a tag, a rating or of a kind."""
    ask = door(request)
    asked: dict[str, Any] = {
        "words": q.split(),
        "tag": [tag] if tag else [],
        "rating": int(rating) if rating in {"1", "2", "3", "4", "5"} else None,
        "kind": kind or None,
        "order": order if order in {"newest", "rating"} else "newest",
        "removed": bool(removed),
        "count": max(1, min(count, _MOST)),
    }
    found = ask.call("gallery.list", **asked)
    filtered = bool(q or tag or asked["rating"] or kind or removed)
    tags = {word for item in found["items"] for word in item["tags"]} | ({tag} if tag else set())
    return page(
        request,
        "gallery.html",
        items=found["items"],
        total=found["total"],
        damaged=found["damaged"],
        tags=sorted(tags),
        filtered=filtered,
        asked={"q": q, "tag": tag, "rating": rating, "kind": kind, "order": asked["order"], "removed": removed},
        more=found["total"] > len(found["items"]),
    )


@router.get("/gallery/{item}")
def one_item(request: Request, item: str) -> Response:
    """One result: beside its original, with what is said of it and how it was made."""
    ask = door(request)
    shown = ask.call("gallery.show", item=item)
    found, _ = find(ask.workspace, shown["item"]["id"])
    first = _original(found)
    return page(
        request,
        "gallery_item.html",
        item=shown["item"],
        shown=shown,
        original=first,
        alike=first is not None and _kind(first) == found.media and shown["item"]["there"],
    )


@router.get("/gallery/{item}/file")
def file(request: Request, item: str) -> Response:
    """The file of a result, in the pieces that a player asks for."""
    return _sent(find(door(request).workspace, item)[0].path)


@router.get("/gallery/{item}/still")
def still(request: Request, item: str) -> Response:
    """A small picture of a result; the address says of which size of the file, so it may be kept."""
    workspace = door(request).workspace
    path = find(workspace, item)[0].path
    try:
        small = load("treadle.recipes.gallery_stills:still")(workspace, path)
    except (MissingExtraError, DataError, UsageError):
        if path.suffix.lower() in PICTURES:
            return _sent(path)
        raise NotFoundError(f"There is no picture of {path.name}.") from None
    return FileResponse(small, headers={"cache-control": "private, max-age=86400"}, content_disposition_type="inline")


@router.get("/gallery/{item}/original")
def original_file(request: Request, item: str) -> Response:
    """The video or picture that a result was made from."""
    found = _original(find(door(request).workspace, item)[0])
    if found is None:
        raise NotFoundError(f"No original of `{item[:60]}` is there.")
    return _sent(found)


def _original(item: Item) -> Path | None:
    """What a result was made from, if that is a video or a picture and still there."""
    try:
        found = original(item, None)
    except NotFoundError:
        return None
    return found if is_media(found) else None


def _kind(path: Path) -> str:
    return "video" if path.suffix.lower() in VIDEOS else "picture"


def _sent(path: Path) -> Response:
    """A file that is to be looked at, and nothing else: its name says so, and browsers do not guess."""
    if path.suffix.lower() not in VIDEOS | PICTURES or not path.is_file():
        raise NotFoundError(f"{path.name} is not there any more.")
    return FileResponse(path, headers={"cache-control": "private, no-cache"}, content_disposition_type="inline")
