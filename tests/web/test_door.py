"""Who gets in: the token, the Host header, the size of a body; and what is said to those who do not."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from syncd.daemon.desk_stock import MAIN
from syncd.store.engine import StoreFull
from syncd.web import guard, listing_routes, shop_routes, stock_routes
from syncd.web.context import TokenVerifier
from syncd.web.guard import is_loopback
from syncd.web.routes import health_routes

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("given", ["", "Bearer wrong", "Bearer ", "Basic the-token-of-the-test", "Bearer \xe4"])
async def test_without_the_token_nothing_of_the_api_is_told(site: Any, given: str) -> None:
    headers = {"Authorization": given.encode("latin-1")}
    for path in ("/api/v1/status", "/api/v1/openapi.json", "/api/v1/nothing"):
        answer = await site.client.get(path, headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="syncd"')
        assert "bearer token" in answer.json()["error"]


async def test_the_token_is_kept_only_as_a_hash() -> None:
    verifier = TokenVerifier("secret-of-the-test")
    assert verifier.accepts("secret-of-the-test")
    assert not verifier.accepts("secret-of-the-tes")
    assert "secret" not in repr(vars(verifier))
    with pytest.raises(ValueError, match="empty"):
        TokenVerifier("")


@pytest.mark.parametrize(
    ("listens", "asked", "status"),
    [
        ("127.0.0.1", "http://127.0.0.1:8484", 200),
        ("127.0.0.1", "http://localhost:8484", 200),
        ("127.0.0.1", "http://[::1]:8484", 200),
        ("127.0.0.1", "http://in-process", 200),
        ("127.0.0.1", "http://evil.example:8484", 421),
        ("127.0.0.1", "http://192.168.0.7:8484", 421),
        ("stock.internal", "http://stock.internal:8484", 200),
        ("0.0.0.0", "http://192.168.0.7:8484", 200),
        ("0.0.0.0", "http://evil.example:8484", 421),
        ("::", "http://[fd00::7]:8484", 200),
    ],
)
async def test_only_our_own_names_are_answered(
    with_context: Callable[..., httpx.AsyncClient], listens: str, asked: str, status: int
) -> None:
    async with with_context(asked, host=listens) as client:
        assert (await client.get("/api/v1/plugins")).status_code == status
        assert (await client.get("/healthz")).status_code == status


async def test_further_names_can_be_allowed(with_context: Callable[..., httpx.AsyncClient]) -> None:
    async with with_context("http://stock.example", hosts=["Stock.Example"]) as client:
        assert (await client.get("/healthz")).status_code == 200


async def test_a_body_that_is_too_large_is_refused_named_or_not(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_BYTES", 100)
    body = b'{"items": [' + b'{"code": "x"},' * 50 + b'{"code": "y"}]}'

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 20):
            yield body[start : start + 20]

    for content in (body, pieces()):
        answer = await site.client.post("/api/v1/skus", content=content, headers={"Content-Type": "application/json"})
        assert (answer.status_code, "larger than 100 bytes" in answer.json()["error"]) == (413, True)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "where"),
    [
        ("GET", "/nothing", None, 404, None),
        ("DELETE", "/skus", None, 405, None),
        ("POST", "/skus", {"items": [{"cod": "a"}]}, 422, "items[0].code"),
        ("POST", "/stock/set", {"items": [{"sku": "a", "number": -1}]}, 422, "items[0].number"),
        ("POST", "/stock/set", {"items": [{"sku": "a", "number": "1"}]}, 422, "items[0].number"),
        ("POST", "/stock/set", {"items": [{"sku": "a", "number": True}]}, 422, "items[0].number"),
        ("POST", "/stock/open", {"from_shop": "shop-a", "items": []}, 422, "items"),
        ("POST", "/stock/open", {"preview": True}, 422, None),
        (
            "POST",
            "/stock/count",
            {"items": [{"sku": "a", "number": 1, "at": "2026-11-21T09:00:00"}]},
            422,
            "items[0].at",
        ),
        ("GET", "/skus?limit=0", None, 422, "limit"),
        ("GET", "/why/shop-z/l1", None, 404, "shop"),
        ("GET", "/shops/shop-z", None, 404, "shop"),
    ],
)
async def test_a_mistake_is_told_in_one_sentence_with_its_place(
    site: Any, method: str, path: str, body: Any, status: int, where: str | None
) -> None:
    answer = await site.client.request(method, f"/api/v1{path}", json=body)
    document = answer.json()
    assert (answer.status_code, document.get("where")) == (status, where)
    assert document["error"]
    assert set(document) <= {"error", "where"}


async def test_no_json_is_told_so(site: Any) -> None:
    answer = await site.client.post("/api/v1/skus", content=b"{", headers={"Content-Type": "application/json"})
    assert (answer.status_code, set(answer.json()) <= {"error", "where"}) == (422, True)


async def test_what_is_no_unicode_is_refused_and_not_echoed(site: Any) -> None:
    content = b'{"items": [{"code": "a\\ud800"}]}'
    answer = await site.client.post("/api/v1/skus", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.json()["error"]


async def test_a_full_disk_is_told_as_such(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_args: object, **_more: object) -> None:
        raise StoreFull("the disk is full")

    monkeypatch.setattr(site.context.hub.store, "tx", full)
    answer = await site.client.post("/api/v1/skus", json={"items": [{"code": MAIN}]})
    assert (answer.status_code, answer.json()) == (503, {"error": "the store: the disk is full"})


async def test_the_openapi_document_names_every_route_and_its_token(site: Any) -> None:
    document = await site.get("/openapi.json")
    assert document["openapi"].startswith("3.1")
    assert document["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    operations = [(path, method, one) for path, methods in document["paths"].items() for method, one in methods.items()]
    assert len(operations) >= 32
    for path, method, one in operations:
        assert one["summary"], path
        assert one["security"] == [{"HTTPBearer": []}], path
        assert "200" in one["responses"], (path, method)
        assert {p["name"] for p in one.get("parameters", []) if p["in"] == "path"} == set(re.findall(r"{(\w+)}", path))
    references = set(re.findall(r'"#/components/schemas/(\w+)"', (await site.client.get("/api/v1/openapi.json")).text))
    assert references <= set(document["components"]["schemas"])


def test_no_endpoint_runs_in_a_thread() -> None:
    for router in (health_routes, listing_routes.router, shop_routes.router, stock_routes.router):
        assert router.routes
        for route in router.routes:
            assert inspect.iscoroutinefunction(route.endpoint), route.path  # type: ignore[attr-defined]  # all are routes of functions


@pytest.mark.parametrize(
    ("host", "answer"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("10.0.0.1", False)],
)
def test_what_is_loopback(host: str, answer: bool) -> None:
    assert is_loopback(host) is answer
