"""Grants in the store: encrypted, durable before use, one refresher at a time over all shops of an application.

`KeptGrants` is the daemon's; each shop's channel gets a `ShopGrants` of it (`ShopContext.grants`).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime

import anyio
import structlog
from pydantic import SecretStr

from syncd.clock import Clock
from syncd.model import from_us, to_us
from syncd.sdk.errors import SignInRequired
from syncd.sdk.grants import Grant
from syncd.store.engine import Priority, Store
from syncd.store.grants import GrantRow, load_grant, reseal_grants, save_grant
from syncd.store.vault import CannotOpen, Vault
from syncd.telemetry import register_turning_secret

log = structlog.get_logger()
RENEWAL_SECONDS = 120.0
"""Longest that a renewal may hold the lock; a cancellation waits for it, or a rotated token would be lost."""


class GrantUnreadable(SignInRequired):
    """The grant was sealed with a key we do not have."""


@dataclass(slots=True)
class KeptGrants:
    """All grants of all channels. `known` are those read or saved so far; the store holds nothing newer."""

    store: Store
    clock: Clock
    vault: Vault
    known: dict[tuple[str, str], Grant] = field(default_factory=dict)
    _locks: dict[tuple[str, str], anyio.Lock] = field(default_factory=dict)

    def of(self, shop: str, channel: str) -> ShopGrants:
        """The grants of a channel as one shop of it sees them."""
        return ShopGrants(self, shop, channel)

    def lock(self, place: tuple[str, str]) -> anyio.Lock:
        return self._locks.setdefault(place, anyio.Lock())

    async def reseal(self) -> None:
        """Seal everything with the newest key, so that an older one can be taken out of the settings."""

        def again(sealed: str) -> str | None:
            try:
                return self.vault.reseal(sealed)
            except CannotOpen:
                return None

        left = await self.store.tx(lambda conn: reseal_grants(conn, again))
        if left:
            log.error("grants_unreadable", grants=left, why="sealed with a key that is not in keys.encryption")


@dataclass(slots=True)
class ShopGrants:
    """What a channel object is handed as `context.grants`."""

    kept: KeptGrants
    shop: str
    channel: str
    names: set[str] = field(default_factory=set)
    _forgiving: bool = False

    @property
    def signed_in_until(self) -> datetime | None:
        """When a person must sign in again for the first of the grants this shop uses; None where nobody must."""
        known = (self.kept.known.get((self.channel, name)) for name in self.names)
        return min((one.signed_in_until for one in known if one and one.signed_in_until), default=None)

    async def load(self, name: str) -> Grant | None:
        self.names.add(name)
        known = self.kept.known.get((self.channel, name))
        if known is not None:
            return known
        row = await self.kept.store.read(lambda conn: load_grant(conn, self.channel, name))
        if row is None:
            return None
        try:
            grant = unsealed(self.kept.vault, row)
        except CannotOpen:
            if self._forgiving:
                return None
            raise GrantUnreadable(_locked_out(self.shop, self.channel, name)) from None
        self._mask(name, grant)
        return self.kept.known.setdefault((self.channel, name), grant)  # a newer one may have been saved meanwhile

    async def save(self, name: str, grant: Grant) -> None:
        self.names.add(name)
        self._mask(name, grant)
        row = sealed_row(self.kept.vault, self.channel, name, grant, self.kept.clock.now_us())
        self.kept.known.pop((self.channel, name), None)  # a cancelled commit may have been kept: then it is read again
        await self.kept.store.tx(lambda conn: save_grant(conn, row), priority=Priority.URGENT)
        self.kept.known[self.channel, name] = grant

    @asynccontextmanager
    async def renewing(self, name: str) -> AsyncIterator[Grant | None]:
        """As `Grants.renewing`. A cancellation inside is held back until the new grant is saved, within a limit."""
        async with self.kept.lock((self.channel, name)):
            with anyio.CancelScope(shield=True), self.kept.clock.limit(RENEWAL_SECONDS):
                yield await self.load(name)

    @contextmanager
    def replacing(self) -> Iterator[None]:
        """While a person signs in: a grant that no key opens counts as none, since it is about to be replaced."""
        self._forgiving = True
        try:
            yield
        finally:
            self._forgiving = False

    def _mask(self, name: str, grant: Grant) -> None:
        """No log line shows these tokens."""
        place = f"grant {self.channel} {name}"
        for token in (grant.access, grant.refresh):
            if token is not None:
                register_turning_secret(place, token)


def sealed_row(vault: Vault, channel: str, name: str, grant: Grant, now_us: int) -> GrantRow:
    """A grant as it is stored. Its place is sealed with it, so that a row cannot be passed off as another."""
    text = json.dumps(
        {
            "channel": channel,
            "name": name,
            "access": grant.access.get_secret_value(),
            "refresh": None if grant.refresh is None else grant.refresh.get_secret_value(),
        }
    )
    return GrantRow(channel, name, vault.seal(text), _us(grant.ends_at), _us(grant.signed_in_until), now_us)


def unsealed(vault: Vault, row: GrantRow) -> Grant:
    """A stored grant. Raises CannotOpen, also for a row that stood in another place."""
    inside = json.loads(vault.open(row.sealed))
    if (inside["channel"], inside["name"]) != (row.channel, row.name):
        raise CannotOpen("it belongs to another place")
    return Grant(
        access=SecretStr(inside["access"]),
        refresh=None if inside["refresh"] is None else SecretStr(inside["refresh"]),
        ends_at=None if row.ends_us is None else from_us(row.ends_us),
        signed_in_until=None if row.signed_in_until_us is None else from_us(row.signed_in_until_us),
    )


def _us(moment: datetime | None) -> int | None:
    return None if moment is None else to_us(moment)


def _locked_out(shop: str, channel: str, name: str) -> str:
    return (
        f"the grant {name!r} of {channel} was sealed with a key that syncd does not have: put that key back as a second"
        f" line of keys.encryption, or sign in again with: syncd shops sign-in {shop}"
    )
