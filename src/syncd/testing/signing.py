"""A well-behaved reference channel whose shops are signed in to: a memory shop behind an authorization server.

`SigningServer` is the server of one application: codes from its page, access tokens that end, refresh tokens that
rotate and are good for one use; a used one shown again revokes the whole sign-in, as real servers do. Two shops of
one application and account share one grant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeVar
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, SecretStr

from syncd.clock import Clock
from syncd.sdk.channel import Capabilities, CheckReport, ShopContext, SignInPage
from syncd.sdk.errors import SignInRequired
from syncd.sdk.grants import Grant
from syncd.sdk.settings import ChannelSettings, ShopSettings
from syncd.testing.mall import SignsIn
from syncd.testing.memory import MemoryChannel, MemorySettings, MemoryShop
from syncd.testing.world import Market, World

T = TypeVar("T")
SERVERS: dict[str, SigningServer] = {}
"""The authorization servers of this process by application; a new one of the same name replaces the old."""


class SigningSettings(MemorySettings):
    """The `[signing]` table: a memory shop, and the application it is reached through."""

    application: str = Field("app-1", description="The application ID; shops of one application share its sign-in.")


class SigningServer:
    """One application's authorization server and the person who signs in there."""

    def __init__(self, application: str, clock: Clock, *, access_seconds: float = 60, days: float = 28) -> None:
        self.application = application
        self.clock = clock
        self.access_seconds = access_seconds
        self.days = days
        self.exchanges = 0  # refresh tokens exchanged
        self.revoked = 0  # sign-ins ended because a used token was shown again
        self.codes: set[str] = set()
        self.access: set[str] = set()
        self.refresh = ""
        self.used: set[str] = set()
        self.until: datetime = clock.now()
        self.number = 0
        SERVERS[application] = self

    def person_signs_in(self) -> str:
        """A person signs in on the page; returns the address the browser ends at."""
        self.number += 1
        code = f"code-canary-{self.number}"
        self.codes.add(code)
        return f"https://here.example/back?code={code}&state={self.application}"

    def end_access(self) -> None:
        """Every access token ends now."""
        self.access.clear()

    def withdraw(self) -> None:
        """The sign-in ends, with all that it gave."""
        self.access.clear()
        self.refresh = ""

    async def exchange_code(self, code: str) -> Grant:
        await self.clock.sleep(0.1)
        if code not in self.codes:
            raise SignInRequired("the server does not know this code, or it was used")
        self.codes.discard(code)
        self.until = self.clock.now() + timedelta(days=self.days)
        return self._issue()

    async def exchange_refresh(self, token: str) -> Grant:
        """One use each; the answer takes a while, as it does over a network."""
        await self.clock.sleep(0.1)
        self.exchanges += 1
        if token in self.used:
            self.revoked += 1
            self.refresh = ""
            self.access.clear()
        if not self.refresh or token != self.refresh or self.clock.now() >= self.until:
            raise SignInRequired("the sign-in is over")
        return self._issue()

    def _issue(self) -> Grant:
        if self.refresh:
            self.used.add(self.refresh)
        self.number += 1
        access, self.refresh = f"access-canary-{self.number}", f"refresh-canary-{self.number}"
        self.access.add(access)
        ends_at = self.clock.now() + timedelta(seconds=self.access_seconds)
        return Grant(SecretStr(access), SecretStr(self.refresh), ends_at, self.until)


class SigningShop(MemoryShop, SignsIn):
    """A memory shop behind a server of its own."""

    def __init__(self, world: World, market: Market, clock: Clock) -> None:
        super().__init__(world, market, clock)
        self.server = SigningServer(f"app-of-{market.name}", clock)

    def settings(self) -> dict[str, object]:
        return {**super().settings(), "application": self.server.application}

    def person_signs_in(self, address: str) -> str:
        return self.server.person_signs_in()

    def end_access(self) -> None:
        self.server.end_access()

    def withdraw(self) -> None:
        self.server.withdraw()


class SigningChannel(MemoryChannel):
    """The reference of a channel that signs in: gets its token before each call, under the lock of one refresher."""

    slug: ClassVar[str] = "signing"
    title: ClassVar[str] = "Shop in memory behind a sign-in"
    settings_type: ClassVar[type[ChannelSettings]] = SigningSettings

    def __init__(self, shop: ShopSettings, settings: ChannelSettings, context: ShopContext) -> None:
        super().__init__(shop, settings, context)
        if not isinstance(settings, SigningSettings):
            raise TypeError(f"{type(settings).__name__} are not signing settings")
        self.application = settings.application

    @property
    def server(self) -> SigningServer:
        return SERVERS[self.application]

    @property
    def capabilities(self) -> Capabilities:
        values: Mapping[str, Any] = {
            name: getattr(super(SigningChannel, self).capabilities, name) for name in Capabilities.__dataclass_fields__
        }
        return Capabilities(**{**values, "signs_in": True})

    async def call(self, operation: str, answer: Callable[[], T], *, effect: bool = False) -> T:
        token = await self._token()
        if token not in self.server.access:
            raise SignInRequired(f"{operation}: the token is not good")
        return await super().call(operation, answer, effect=effect)

    async def check(self) -> CheckReport:
        report = await super().check()
        grant = await self.context.grants.load(self.application)
        return CheckReport(report.account, None if grant is None else grant.signed_in_until)

    async def sign_in_page(self) -> SignInPage:
        return SignInPage(
            f"https://signin.example/authorize?client_id={self.application}",
            "the whole address that the browser ends at",
        )

    async def sign_in(self, brought_back: str) -> None:
        found = parse_qs(urlsplit(brought_back).query).get("code", [])
        if len(found) != 1:
            raise ValueError("there is no code in it; paste the whole address")
        grants = self.context.grants
        async with grants.renewing(self.application):
            await grants.save(self.application, await self.server.exchange_code(found[0]))

    async def _token(self) -> str:
        grants, now = self.context.grants, self.context.clock.now()
        grant = await grants.load(self.application)
        if grant is None or (grant.ends_at is not None and grant.ends_at <= now):
            grant = await self._renewed()
        return grant.access.get_secret_value()

    async def _renewed(self) -> Grant:
        grants = self.context.grants
        async with grants.renewing(self.application) as grant:
            if grant is None or grant.refresh is None:
                raise SignInRequired("nobody has signed in yet")
            if grant.ends_at is None or grant.ends_at > self.context.clock.now():
                return grant  # another shop has renewed it while we waited
            fresh = await self.server.exchange_refresh(grant.refresh.get_secret_value())
            await grants.save(self.application, fresh)
            return fresh
