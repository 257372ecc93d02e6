"""The application: OpenAI's routes over models that somebody else opens."""

from __future__ import annotations

import asyncio
import base64
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

import treadle
from treadle.base.errors import NotFoundError, TreadleError
from treadle.generation.generate import GenerationRequest, prompt_ids
from treadle.generation.serving.answers import Answer, Choice, error_body
from treadle.generation.serving.door import Door
from treadle.generation.serving.inbox import Inbox, Postman
from treadle.generation.serving.metrics import CONTENT_TYPE, Metrics
from treadle.generation.serving.replies import Asked, Reply, refusal
from treadle.generation.serving.requests import (
    MOST_CHOICES,
    BadRequestError,
    ChatBody,
    CompletionBody,
    EmbeddingBody,
    parse,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import numpy as np
    from starlette.requests import Request
    from starlette.types import ASGIApp

    from treadle.generation.serving.requests import Prompt
    from treadle.generation.serving.served import Models, ServedModel

MOST_BODY: Final = 8 * 2**20
_BODY_SECONDS: Final = 30.0
_AT_ONCE: Final = 4096
"""Characters or tokens that are worked on without leaving the loop."""
_GONE: Final = "The client went away before it was answered."
"""Nobody reads this; the metrics count it."""


def create_app(models: Models, who: Callable[[str], str | None] | None) -> ASGIApp:
    """The server's application; `who` tells whose key a token is, None lets every program of this machine in."""
    service = Service(models)
    routes = [
        Route("/v1/models", service.list_models),
        Route("/v1/models/{name}", service.show_model),
        Route("/v1/completions", service.counted("completions", service.completions), methods=["POST"]),
        Route("/v1/chat/completions", service.counted("chat", service.chat), methods=["POST"]),
        Route("/v1/embeddings", service.counted("embeddings", service.embeddings), methods=["POST"]),
        Route("/health", service.health),
        Route("/metrics", service.show_metrics),
    ]
    return Door(Starlette(routes=routes, exception_handlers={HTTPException: _no_route, Exception: _defect}), who)


class Service:
    """What the routes do."""

    def __init__(self, models: Models) -> None:
        """Answer for `models`."""
        self._models = models
        self._metrics = Metrics()
        self._postman: Postman | None = None

    async def list_models(self, _: Request) -> Response:
        """`GET /v1/models`."""
        return JSONResponse({"object": "list", "data": list(await asyncio.to_thread(self._models.describe))})

    async def show_model(self, request: Request) -> Response:
        """`GET /v1/models/NAME`."""
        name = request.path_params["name"]
        for one in await asyncio.to_thread(self._models.describe):
            if one["id"] == name:
                return JSONResponse(one)
        return _refused(NotFoundError(f"There is no model `{name[:200]}` here; /v1/models lists what there is."))

    async def health(self, _: Request) -> Response:
        """`GET /health`."""
        return JSONResponse({"status": "ok", "version": treadle.__version__, **self._models.state()})

    async def show_metrics(self, _: Request) -> Response:
        """`GET /metrics`."""
        return PlainTextResponse(self._metrics.text(self._models), media_type=CONTENT_TYPE)

    def counted(self, route: str, handle: Callable[[Request], Awaitable[Any]]) -> Callable[[Request], Awaitable[Any]]:
        """A route whose refusals are answers in OpenAI's form, and which counts its requests."""

        async def handled(request: Request) -> Any:  # noqa: ANN401 - a response or a reply
            request.state.route = route
            try:
                answer = await handle(request)
            except (BadRequestError, TreadleError) as error:
                answer = _refused(error)
            if isinstance(answer, Response):  # a reply counts itself, when it knows its status
                self._metrics.requests[route, answer.status_code] += 1
            return answer

        return handled

    async def completions(self, request: Request) -> Reply:
        """`POST /v1/completions`."""
        began = time.monotonic()
        body = parse(CompletionBody, await _body(request))
        prompts = body.prompts()
        if len(prompts) * body.n > MOST_CHOICES:
            raise BadRequestError(f"{len(prompts)} prompts times n = {body.n} are more than {MOST_CHOICES} texts.", "n")

        def asked(model: ServedModel) -> tuple[list[GenerationRequest], list[Choice]]:
            requests = _requests(model, body, prompts, body.max_tokens, body.logprobs)
            echoes = [_shown(model, one) if body.echo else "" for one in prompts]
            places = [(prompt, echoes[prompt]) for prompt in range(len(prompts)) for _ in range(body.n)]
            return requests, [
                Choice(index, prompt, echo, offset=len(echo)) for index, (prompt, echo) in enumerate(places)
            ]

        model = await self._held(body.model)
        answer = Answer("completion", model, logs=body.logprobs is not None, usage_in_stream=body.usage_in_stream)
        large = sum(len(one) for one in prompts) > _AT_ONCE
        return await self._reply(request, model, asked, (answer, body.stream, large, began))

    async def chat(self, request: Request) -> Reply:
        """`POST /v1/chat/completions`."""
        began = time.monotonic()
        body = parse(ChatBody, await _body(request))
        if body.top_logprobs is not None and not body.logprobs:
            raise BadRequestError("top_logprobs needs logprobs: true.", "top_logprobs")
        logs = (body.top_logprobs or 0) if body.logprobs else None

        def asked(model: ServedModel) -> tuple[list[GenerationRequest], list[Choice]]:
            text = model.chat.render(body.messages)
            requests = _requests(model, body, [text], body.tokens(), logs)
            return requests, [Choice(index, 0) for index in range(body.n)]

        model = await self._held(body.model)
        answer = Answer("chat", model, logs=logs is not None, usage_in_stream=body.usage_in_stream)
        large = sum(len(one.text()) for one in body.messages) > _AT_ONCE
        return await self._reply(request, model, asked, (answer, body.stream, large, began))

    async def _reply(
        self,
        request: Request,
        model: ServedModel,
        asked: Callable[[ServedModel], tuple[list[GenerationRequest], list[Choice]]],
        how: tuple[Answer, bool, bool, float],
    ) -> Reply:
        """Ask the model's scheduler; whatever goes wrong, the model is let go of again."""
        answer, stream, large, began = how
        if self._postman is None:
            self._postman = Postman(asyncio.get_running_loop())
        try:
            requests, choices = await asyncio.to_thread(asked, model) if large else asked(model)
            inbox = Inbox(self._postman)
            tells = [self._postman.to(inbox, index) for index in range(len(requests))]
            submit = partial(model.scheduler.submit, requests, tells, request.state.client)
            tickets = await asyncio.to_thread(submit) if large else submit()
        except BaseException:
            self._models.release(model)
            raise

        inbox.on_overflow = partial(model.scheduler.cancel, tickets)

        def leave() -> None:
            inbox.close()
            model.scheduler.cancel(
                [ticket for ticket, choice in zip(tickets, choices, strict=True) if choice.finished is None]
            )
            self._models.release(model)

        asked_for = Asked(choices, inbox, leave, began, request.state.route)
        return Reply(asked_for, answer, self._metrics, stream=stream)

    async def embeddings(self, request: Request) -> Response:
        """`POST /v1/embeddings`: the mean of the last layer's states over a text's tokens, of length 1."""
        body = parse(EmbeddingBody, await _body(request))
        texts = body.texts()
        model = await self._held(body.model)
        try:
            found = await asyncio.to_thread(lambda: [_window(model, one, body.truncate) for one in texts])
            vectors = []
            for ids in found:
                if await request.is_disconnected():
                    raise BadRequestError(_GONE)
                vectors.append(await asyncio.wrap_future(model.scheduler.embed(ids)))
        finally:
            self._models.release(model)
        if body.dimensions not in {None, vectors[0].size}:
            raise BadRequestError(f"This model's embeddings have {vectors[0].size} dimensions.", "dimensions")
        rows = [
            {"object": "embedding", "index": index, "embedding": _encoded(vector, body.encoding_format)}
            for index, vector in enumerate(vectors)
        ]
        tokens = sum(len(ids) for ids in found)
        spent = {"prompt_tokens": tokens, "total_tokens": tokens}
        return JSONResponse({"object": "list", "data": rows, "model": model.name, "usage": spent})

    async def _held(self, name: str) -> ServedModel:
        """Hold a model, which the caller has to release."""
        found = self._models.ready(name)
        return await asyncio.to_thread(self._models.open, name) if found is None else found


def _requests(
    model: ServedModel,
    body: CompletionBody | ChatBody,
    prompts: Sequence[Prompt],
    tokens: int | None,
    logs: int | None,
) -> list[GenerationRequest]:
    """`n` requests for each prompt; the texts of one prompt have seeds that follow each other."""
    settings, bias, found = body.settings(model.settings, tokens, logs), body.bias(), []
    for prompt in prompts:
        ids = prompt_ids(model.tokenizer, prompt, body.unknown)
        _check_length(len(ids), model.context, truncate=body.truncate)
        for choice in range(body.n):
            seed = None if settings.seed is None else (settings.seed + choice) % 2**63
            found.append(
                GenerationRequest(
                    ids,
                    settings.model_copy(update={"seed": seed}),
                    logit_bias=bias,
                    log_probabilities=logs is not None,
                    alternatives=logs or 0,
                )
            )
    return found


def _window(model: ServedModel, text: Prompt, truncate: bool) -> list[int]:
    """A text's tokens as they are embedded."""
    ids = prompt_ids(model.tokenizer, text, "error")
    _check_length(len(ids), model.context, truncate=truncate)
    return ids[: model.context]


def _check_length(tokens: int, context: int, *, truncate: bool) -> None:
    if tokens > context and not truncate:
        raise BadRequestError(
            f"This model reads {context:,} tokens at a time and the prompt has {tokens:,}. Shorten it by "
            f"{tokens - context:,}, or send `truncate: true` to have only a part of it read.",
            "prompt",
            "context_length_exceeded",
        )


def _shown(model: ServedModel, prompt: Prompt) -> str:
    return prompt if isinstance(prompt, str) else model.tokenizer.decode(prompt)


def _encoded(vector: np.ndarray[Any, np.dtype[np.float32]], how: str) -> list[float] | str:
    if how == "float":
        found: list[float] = vector.tolist()
        return found
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


async def _body(request: Request) -> bytes:
    """The body, which must not be too large and must come soon."""
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for piece in request.stream():
                body += piece
                if len(body) > MOST_BODY:
                    raise BadRequestError(f"The body is larger than {MOST_BODY:,} bytes.", status=413)
    except ClientDisconnect as error:
        raise BadRequestError(_GONE) from error
    except TimeoutError as error:
        raise BadRequestError(f"The body did not come within {_BODY_SECONDS:.0f} seconds.", status=408) from error
    return bytes(body)


def _refused(error: TreadleError | BadRequestError) -> Response:
    status, body, headers = refusal(error)
    return JSONResponse(body, status, {name.decode(): value.decode() for name, value in headers})


async def _no_route(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    said = f"{request.method} {request.url.path[:200]}: {getattr(error, 'detail', 'unknown')}."
    return JSONResponse(error_body(said, "invalid_request_error", code="unknown_url"), status)


async def _defect(_: Request, error: Exception) -> Response:
    """What nobody expected; the traceback goes to the server's log."""
    return JSONResponse(error_body(f"Treadle has a defect: {type(error).__name__}.", "server_error"), 500)
