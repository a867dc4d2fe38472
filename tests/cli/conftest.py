"""The commands over a small API that records what it was asked."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from click.testing import CliRunner, Result
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from syncd.cli import main
from syncd.cli.doors import Doors
from syncd.config import Config

TOKEN = "the-token-of-the-test"
SHOPS = ["rakuten-main", "shopify-jp"]
CODES = ["red-mug", "blue-mug", "00123", "mug-set", "2026-01-02"]


@dataclass
class Asked:
    """One request as it came in."""

    method: str
    path: str
    params: list[tuple[str, str]]
    body: Any


@dataclass
class FakeApi:
    """Answers like the admin API. `answers` overrides one path; `asked` is every request but the probe."""

    asked: list[Asked] = field(default_factory=list)
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CODES, 10))
    opened: int = 0

    @property
    def app(self) -> Starlette:
        return Starlette(routes=[Route("/api/v1/{path:path}", self.answer, methods=["GET", "POST", "PUT"])])

    async def answer(self, request: Request) -> Response:
        if request.headers["authorization"] != f"Bearer {TOKEN}":
            return JSONResponse({"error": "wrong token"}, 401)
        body = json.loads(await request.body() or b"null")
        path = request.scope["raw_path"].decode().removeprefix("/api/v1")
        self.asked.append(Asked(request.method, path, request.query_params.multi_items(), body))
        if path in self.answers:
            status, document = self.answers[path]
            return JSONResponse(document, status)
        if request.method != "GET":
            return JSONResponse({"changes": (body or {}).get("items", [{"sku": "red-mug"}]), "applied": True})
        if unknown := set(request.query_params.getlist("sku")) - set(self.numbers):
            return JSONResponse({"error": f"unknown SKU: {unknown}", "where": "sku"}, 404)
        return JSONResponse({"items": self.items(path, request), "next": None})

    def items(self, path: str, request: Request) -> list[dict[str, Any]]:
        if path == "/shops":
            return [{"name": name, "channel": name.partition("-")[0], "status": "running"} for name in SHOPS]
        query = request.query_params.get("query", "")
        codes = [code for code in self.numbers if query.casefold() in code.casefold()]
        if path == "/skus":
            return [{"code": code, "name": ""} for code in codes]
        if path == "/stock":
            wanted = request.query_params.getlist("sku") or codes
            return [self.line(code) for code in wanted]
        if path == "/listings":
            return [{"shop": SHOPS[0], "key": key, "sku": "red-mug"} for key in ("mug:red/1", "mug:blue/1")]
        return []

    def line(self, code: str) -> dict[str, Any]:
        on_hand = self.numbers[code]
        numbers = {"on_hand": on_hand, "ordered": 2, "allocated": 1, "deliverable": on_hand - 1, "free": on_hand - 3}
        return {"sku": code, "name": "", "location": "main", **numbers}

    def changes(self) -> list[Asked]:
        """What was asked beside reading."""
        return [one for one in self.asked if one.method != "GET"]

    @asynccontextmanager
    async def offline(self, _config: Config) -> AsyncIterator[tuple[Starlette, str]]:
        self.opened += 1
        yield self.app, TOKEN


class Cli:
    """Runs `syncd` with the settings of the test."""

    def __init__(self, api: FakeApi, folder: Path) -> None:
        self.api = api
        self.folder = folder
        self.config = folder / "syncd.toml"
        self.config.write_text(f'state_dir = "{folder}"\n', encoding="utf-8")
        self.doors = Doors(offline=api.offline, network=httpx.ASGITransport(app=api.app))

    def __call__(self, *args: str, typed: str | None = None) -> Result:
        return CliRunner(env={"SYNCD_CONFIG": str(self.config)}).invoke(
            main, list(args), obj=self.doors, input=typed, catch_exceptions=False
        )

    def json(self, *args: str) -> Any:
        """The one document that the command prints."""
        return json.loads(self(*args, "--json").stdout)

    def daemon_runs(self, holder: str = "4711") -> None:
        """As if a daemon held the store and had made its token."""
        (self.folder / "syncd.sqlite.lock").write_text(f"{holder}\n", encoding="ascii")
        token = self.folder / "admin.token"
        token.write_text(f"{TOKEN}\n", encoding="ascii")
        token.chmod(0o600)

    def stands(self, **doors: Any) -> None:
        """Put other doors behind the commands."""
        self.doors = replace(self.doors, **doors)


@pytest.fixture(autouse=True)
def silent() -> Iterator[None]:
    """No log line on standard output, which holds one document; a process logs to standard error."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def cli(api: FakeApi, tmp_path: Path) -> Cli:
    return Cli(api, tmp_path)


@pytest.fixture
def sheet(tmp_path: Path) -> Callable[..., str]:
    """Writes a CSV file and gives its path."""

    def write(text: str, encoding: str = "utf-8") -> str:
        path = tmp_path / "file.csv"
        path.write_bytes(text.encode(encoding))
        return str(path)

    return write
