"""Files from other machines: sent in pieces, gone on with after an interruption, checked by their hash.

`POST /api/v1/uploads` makes one, `PATCH` with `Upload-Offset` sends a piece, `HEAD` tells how far it is. When it is
whole, operations take `upload:ID` as a path. Several files sent `into` one upload become a folder.
"""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from treadle.base.files import disk_errors
from treadle.web.answers import JsonAnswer, RefusedError
from treadle.web.door import door
from treadle.web.requests import json_body
from treadle.web.upload_files import begin_upload, settle_upload, upload_facts, upload_folder

if TYPE_CHECKING:
    from pathlib import Path

    from treadle.web.door import Door

router = APIRouter()
_PIECE = 1024 * 1024
_receiving: dict[str, asyncio.Task[None]] = {}
"""What is just arriving, by upload."""


@router.post("/api/v1/uploads", status_code=201)
async def begin(request: Request) -> Response:
    """Begin an upload: `name`, `size` in bytes, and if known `sha256`; `into` names an upload to lie beside."""
    given = await json_body(request)
    here = door(request)
    if not here.identity.may("operator"):
        raise RefusedError(403, f"Uploads need the level operator; {here.identity.name} is a viewer.", "Forbidden")
    facts = await run_in_threadpool(begin_upload, here.workspace, here.identity.name, given)
    return JsonAnswer(facts, 201, headers={"location": f"/api/v1/uploads/{facts['id']}"})


@router.head("/api/v1/uploads/{identity}")
@router.get("/api/v1/uploads/{identity}")
def state(request: Request, identity: str) -> Response:
    """How far an upload is; one that arrived whole just before the server was killed is put into its place now."""
    here = door(request)
    _own(here, identity)
    facts = settle_upload(here.workspace, identity)
    headers = {"upload-offset": str(facts["offset"]), "upload-length": str(facts["size"]), "cache-control": "no-store"}
    return JsonAnswer(facts, headers=headers)


@router.patch("/api/v1/uploads/{identity}")
async def append(request: Request, identity: str) -> Response:
    """Send a piece that begins at `Upload-Offset`; what arrives is kept even if the connection breaks."""
    here = door(request)
    _own(here, identity)
    await _supersede(identity)
    facts = _own(here, identity)
    offset = request.headers.get("upload-offset", "")
    if not offset.isdecimal() or int(offset) != facts["offset"]:
        raise RefusedError(
            409, f"The next piece begins at byte {facts['offset']:,}, not {offset or 'nowhere'}.", "Offset"
        )
    task = asyncio.create_task(_receive(request, upload_folder(here.workspace, identity) / "data", facts))
    _receiving[identity] = task
    try:
        await asyncio.wait({task})
    finally:
        task.cancel()
        if _receiving.get(identity) is task:
            del _receiving[identity]
    if task.cancelled():
        raise RefusedError(409, "Another request goes on with this upload.", "Offset")
    task.result()
    facts = await run_in_threadpool(settle_upload, here.workspace, identity)
    return JsonAnswer(facts, headers={"upload-offset": str(facts["offset"])})


@router.delete("/api/v1/uploads/{identity}")
def cancel(request: Request, identity: str) -> Response:
    """Give up an upload."""
    here = door(request)
    _own(here, identity)
    shutil.rmtree(upload_folder(here.workspace, identity))
    return JsonAnswer({"id": identity, "removed": True})


def _own(here: Door, identity: str) -> dict[str, Any]:
    """The facts of an upload of whoever asks."""
    facts = upload_facts(here.workspace, identity)
    if facts["owner"] != here.identity.name and not here.identity.may("admin"):
        raise RefusedError(403, f"The upload `{identity}` belongs to somebody else.", "Forbidden")
    return facts


async def _supersede(identity: str) -> None:
    """End a request that still waits for more of this upload: its connection may be dead without a sign of it."""
    while (before := _receiving.get(identity)) is not None and not before.done():
        before.cancel()
        await asyncio.wait({before})


async def _receive(request: Request, data: Path, facts: dict[str, Any]) -> None:
    """Write what arrives behind what is there."""
    left = facts["size"] - facts["offset"]
    with disk_errors(data), data.open("ab") as file:
        waiting = bytearray()
        try:
            async for piece in request.stream():
                left -= len(piece)
                if left < 0:
                    raise RefusedError(413, f"More than the {facts['size']:,} bytes that were announced.", "Usage")
                waiting += piece
                if len(waiting) >= _PIECE:
                    full, waiting = waiting, bytearray()  # who is superseded meanwhile must not write it again
                    await run_in_threadpool(file.write, full)
        except ClientDisconnect:
            pass  # there is nobody to answer
        finally:
            file.write(waiting)  # what has arrived is kept
