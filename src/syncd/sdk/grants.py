"""What an authorization server gave us: access and refresh tokens that outlive a restart.

The core keeps grants encrypted in its store. A refresh token that rotates is saved before its successor is used, and
only one refresher works at a time, across every shop of one application: `renewing` is the lock.

    async with context.grants.renewing(name) as grant:
        if grant is None or grant.ends_at <= now:      # another shop may have renewed it while we waited
            await context.grants.save(name, await self._renew(grant))
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import anyio
from pydantic import SecretStr


@dataclass(frozen=True, slots=True)
class Grant:
    """Tokens in force. `ends_at`: the access token's end. `signed_in_until`: a person must sign in again by then."""

    access: SecretStr
    refresh: SecretStr | None = None
    ends_at: datetime | None = None
    signed_in_until: datetime | None = None


class Grants(Protocol):
    """Grants of one channel by name: the application and account they belong to. Shops may share one."""

    async def load(self, name: str) -> Grant | None:
        """The newest grant; None before the first sign-in."""

    async def save(self, name: str, grant: Grant) -> None:
        """Keep a grant; it is durable when this returns, and only then may it be used."""

    def renewing(self, name: str) -> AbstractAsyncContextManager[Grant | None]:
        """Hold the lock of one refresher and give the newest grant. Not reentrant; no other grant inside."""


class MemoryGrants:
    """Grants that end with the process: for tests, and for `syncd check`."""

    def __init__(self) -> None:
        self._grants: dict[str, Grant] = {}
        self._locks: dict[str, anyio.Lock] = {}

    async def load(self, name: str) -> Grant | None:
        return self._grants.get(name)

    async def save(self, name: str, grant: Grant) -> None:
        self._grants[name] = grant

    @asynccontextmanager
    async def renewing(self, name: str) -> AsyncIterator[Grant | None]:
        async with self._locks.setdefault(name, anyio.Lock()):
            yield self._grants.get(name)
