"""Every refusal as one JSON sentence with the way out; an unknown failure tells nothing of its inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from syncd.daemon.desk_answers import Conflict, Mistake, NotFound, Refused
from syncd.daemon.running import PluginFault
from syncd.sdk.errors import ChannelError
from syncd.store.engine import StoreError

log = structlog.get_logger()
LONGEST = 1024
MOST_NAMED = 1000


def answer(status: int, text: str, where: str = "", mistakes: Sequence[Mistake] = ()) -> JSONResponse:
    """An error as the API gives it. A text that is no Unicode is mended, or it could not be sent."""
    body: dict[str, Any] = {"error": _clean(text) or "refused"}
    if where:
        body["where"] = _clean(where)
    if mistakes:
        body["mistakes"] = [{"where": one.where, "error": _clean(one.text)} for one in mistakes[:MOST_NAMED]]
    return JSONResponse(body, status)


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode()[:LONGEST]


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    status = 404 if isinstance(error, NotFound) else 409 if isinstance(error, Conflict) else 422
    return answer(status, str(error), getattr(error, "where", ""), getattr(error, "every", ()))


async def _bad_body(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    first = found[0]
    where = place(first["loc"])
    text = str(first["msg"]).removeprefix("Value error, ")
    more = f" (and {len(found) - 1} more mistakes)" if len(found) > 1 else ""
    return answer(422, f"{where}: {text}{more}" if where else f"{text}{more}", where)


def place(loc: tuple[int | str, ...]) -> str:
    """Where in the request: `items[3].number`."""
    text = ""
    for part in loc[1:] if loc[:1] and loc[0] in ("body", "query", "path", "header") else loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


async def _http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    known = {404: "no such address; see /api/v1/openapi.json", 405: "this address does not take that method"}
    plain = error.detail in ("Not Found", "Method Not Allowed")
    response = answer(error.status_code, known.get(error.status_code, error.detail) if plain else error.detail)
    response.headers.update(error.headers or {})
    return response


async def _value(_request: Request, error: Exception) -> JSONResponse:
    return answer(400, str(error))


async def _store(_request: Request, error: Exception) -> JSONResponse:
    return answer(503, f"the store: {error}")


async def _channel(_request: Request, error: Exception) -> JSONResponse:
    return answer(502, f"the shop: {type(error).__name__}: {error}")


async def _unknown(request: Request, error: Exception) -> JSONResponse:
    log.error("request_failed", path=request.url.path, error=type(error).__name__, exc_info=error)
    return answer(500, "an error inside syncd; its log says more")


def add_handlers(app: FastAPI) -> None:
    """Register the answers."""
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _bad_body)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(StoreError, _store)
    app.add_exception_handler(ChannelError, _channel)
    app.add_exception_handler(PluginFault, _channel)
    app.add_exception_handler(ValueError, _value)
    app.add_exception_handler(Exception, _unknown)
