"""Builds the ASGI application: health and metrics for everybody, the admin API behind its token."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.responses import JSONResponse, Response
from fastapi.security import HTTPBearer
from starlette.types import ASGIApp

from syncd.web import (
    hold_routes,
    listing_routes,
    policy_routes,
    return_routes,
    shipment_routes,
    shop_routes,
    state,
    stock_routes,
)
from syncd.web.asking import Asked
from syncd.web.context import WebContext
from syncd.web.errors import add_handlers
from syncd.web.guard import Guard
from syncd.web.models import Error, Health

PREFIX = "/api/v1"
ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": Error, "description": text}
    for code, text in (
        (400, "A value that cannot be used"),
        (401, "No valid token"),
        (404, "Not known"),
        (409, "Contradicts what is stored"),
        (413, "Too large"),
        (422, "A mistake in the request"),
        (502, "The shop failed"),
        (503, "The store failed"),
    )
}
health_routes = APIRouter()


def build_app(context: WebContext) -> ASGIApp:
    """The whole HTTP side over a context. Needs no lifespan, starts no thread and no task of its own."""
    app = FastAPI(
        title="syncd",
        version=context.version,
        summary="Admin API of the stock daemon.",
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.context = context
    token = HTTPBearer(auto_error=False, description="The admin token; the guard before the application checks it.")
    for routes in (
        shop_routes.router,
        stock_routes.router,
        policy_routes.router,
        listing_routes.router,
        shipment_routes.router,
        return_routes.router,
        hold_routes.router,
    ):
        app.include_router(routes, prefix=PREFIX, dependencies=[Depends(token)], responses=ERRORS)
    app.include_router(health_routes, include_in_schema=False)
    add_handlers(app)
    return Guard(app, context.token, context.host, context.hosts)


@health_routes.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@health_routes.get("/readyz", response_model=Health)
async def readyz(context: Asked) -> JSONResponse:
    """Whether the daemon can do its work; 503 and what is late where it cannot."""
    health = await state.health(context)
    return JSONResponse(health.model_dump(mode="json"), 503 if health.status == "not ready" else 200)


@health_routes.get("/metrics")
async def metrics(context: Asked) -> Response:
    """Every metric, for Prometheus."""
    body, content_type = context.hub.metrics.render()
    return Response(body, media_type=content_type)
