"""The hostile reference plugin: a memory shop whose channel misbehaves as told, for the tests of the core.

The `[hostile]` table names a behaviour for each kind of call; `MemoryShop.moods` (`orders`, `writes`, `reads`,
`check`) overrides it while running, so that a test can turn a good shop bad and good again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any, ClassVar, cast

import anyio
from pydantic import Field

from syncd.model import LineState, OrderState
from syncd.sdk.channel import (
    Accepted,
    Channel,
    CheckReport,
    Cursor,
    OrderPage,
    Pending,
    Rejected,
    ShopContext,
    StockWrite,
    WriteReport,
    WriteRoute,
    hookimpl,
)
from syncd.sdk.errors import SignInRequired, Unavailable
from syncd.sdk.settings import ChannelSettings, ShopSettings
from syncd.testing.fakes import START
from syncd.testing.memory import MemoryChannel, MemorySettings, MemoryShop

HUGE = 10**18


class Orders(StrEnum):
    """How `fetch_orders` behaves."""

    OK = "ok"
    RAISE = "raise"  # a plain bug
    HANG = "hang"  # forever
    SLOW = "slow"  # `slow_seconds` first
    LEAK = "leak"  # the key in the text of a plain error
    LEAK_DECLARED = "leak_declared"  # the key in the text of a ChannelError
    NONE = "none"
    NONSENSE = "nonsense"  # not a page
    WRONG_TYPES = "wrong_types"  # a page of strings
    BAD_CURSOR = "bad_cursor"  # a cursor that cannot be stored
    NO_CURSOR = "no_cursor"
    MORE_FOREVER = "more_forever"  # never done, nothing new
    SKIP = "skip"  # the cursor moves on, the states are left out
    NAIVE = "naive"  # times without a zone
    NEGATIVE = "negative"  # counts below zero
    HUGE = "huge"  # counts beyond any shop
    TWICE = "twice"  # each state twice in a page
    SAME_LINES = "same_lines"  # two lines of one name in an order
    ACK_RAISES = "ack_raises"
    ACK_HANGS = "ack_hangs"


class Writes(StrEnum):
    """How `write_stock` behaves."""

    OK = "ok"
    RAISE = "raise"
    RAISE_AFTER = "raise_after"  # a plain bug after the write took effect
    HANG = "hang"
    HANG_AFTER = "hang_after"
    SLOW = "slow"
    LEAK = "leak"
    LEAK_DECLARED = "leak_declared"
    NONE = "none"
    NONSENSE = "nonsense"
    TWICE = "twice"  # an index twice
    OUT_OF_RANGE = "out_of_range"  # an index beyond the rows
    NEGATIVE_INDEX = "negative_index"
    SILENT = "silent"  # accepted, and nothing was written
    DENIES = "denies"  # TryAgain, and everything was written
    EMPTY = "empty"  # no index reported, nothing written
    PENDING = "pending"  # receipts that are never answered


class Reads(StrEnum):
    """How `read_stock` behaves."""

    OK = "ok"
    RAISE = "raise"
    HANG = "hang"
    SLOW = "slow"
    LEAK = "leak"
    NONE = "none"
    NONSENSE = "nonsense"  # text for numbers
    UNASKED = "unasked"  # listings that nobody asked for
    NEGATIVE = "negative"
    HUGE = "huge"
    EMPTY = "empty"  # knows no listing any more


class Checks(StrEnum):
    """How `check` behaves."""

    OK = "ok"
    RAISE = "raise"
    HANG = "hang"
    SLOW = "slow"
    LEAK = "leak"
    NONE = "none"
    NONSENSE = "nonsense"
    SIGN_IN = "sign_in"
    OTHER_ACCOUNT = "other_account"


class HostileSettings(MemorySettings):
    """The `[hostile]` table: a memory shop, and how its channel misbehaves."""

    orders: Orders = Field(Orders.OK, description="How reading orders misbehaves.")
    writes: Writes = Field(Writes.OK, description="How writing stock misbehaves.")
    reads: Reads = Field(Reads.OK, description="How reading stock misbehaves.")
    check: Checks = Field(Checks.OK, description="How the check misbehaves.")
    slow_seconds: float = Field(20.0, description="How slow slow is.")


class HostileShop(MemoryShop):
    """A memory shop for the hostile channel; takes `MemorySettings` options and moods."""

    def settings(self) -> dict[str, object]:
        return {**super().settings(), **self.moods}


class HostileChannel(MemoryChannel):
    """Raises, hangs, lies and leaks as its settings say; otherwise the memory channel."""

    slug: ClassVar[str] = "hostile"
    title: ClassVar[str] = "Hostile shop"
    settings_type: ClassVar[type[ChannelSettings]] = HostileSettings

    def __init__(self, shop: ShopSettings, settings: ChannelSettings, context: ShopContext) -> None:
        super().__init__(shop, settings, context)
        if not isinstance(settings, HostileSettings):
            raise TypeError(f"{type(settings).__name__} are not hostile settings")
        self.hostile = settings

    def _mood(self, call: str) -> str:
        return self.shop.moods.get(call, str(getattr(self.hostile, call)))

    async def _misbehave(self, mood: str) -> None:
        """What any call may do before anything is done."""
        key = self.settings.key.get_secret_value()
        if mood == "raise":
            raise RuntimeError("a plain bug of the plugin")
        if mood == "leak":
            raise RuntimeError(f"refused with Authorization: Bearer {key}")
        if mood == "leak_declared":
            raise Unavailable(f"no answer for key={key}")
        if mood == "hang":
            await anyio.sleep_forever()
        if mood == "slow":
            await self.context.clock.sleep(self.hostile.slow_seconds)

    async def check(self) -> CheckReport:
        mood = self._mood("check")
        await self._misbehave(mood)
        if mood in ("none", "nonsense"):
            return cast("CheckReport", None if mood == "none" else {"account": 7})
        if mood == "sign_in":
            raise SignInRequired("the key is dead")
        if mood == "other_account":
            return CheckReport(account="memory:somebody-else")
        return await super().check()

    async def fetch_orders(self, cursor: Cursor | None) -> OrderPage:
        mood = self._mood("orders")
        await self._misbehave(mood)
        if mood in ("none", "nonsense"):
            return cast("OrderPage", None if mood == "none" else ["not", "a", "page"])
        if mood == "more_forever":
            return OrderPage(states=(), cursor=dict(cursor or {}), more=True)
        page = await super().fetch_orders(cursor)
        if mood == "wrong_types":
            return replace(page, states=_untyped(("an order", 12, None)))
        if mood == "bad_cursor":
            return replace(page, cursor={"at": object()})
        if mood == "no_cursor":
            return replace(page, cursor=_untyped(None))
        if mood == "skip":
            return replace(page, states=())
        if mood == "twice":
            return replace(page, states=page.states * 2)
        if mood in ("ack_raises", "ack_hangs"):
            return replace(page, acknowledge=_ack_raises if mood == "ack_raises" else anyio.sleep_forever)
        return replace(page, states=tuple(_spoilt(state, mood) for state in page.states))

    async def write_stock(self, rows: Sequence[StockWrite], route: WriteRoute, key: str) -> WriteReport:
        mood = self._mood("writes")
        await self._misbehave(mood)
        if mood in ("none", "nonsense"):
            return cast("WriteReport", None if mood == "none" else {"ok": True})
        if mood == "silent":
            return WriteReport.all_accepted(len(rows))
        if mood == "empty":
            return WriteReport()
        if mood == "pending":
            return WriteReport(tuple(Pending(i, f"never/{key}/{i}") for i in range(len(rows))))
        report = await super().write_stock(rows, route, key)
        if mood == "raise_after":
            raise RuntimeError("a plain bug after the write")
        if mood == "hang_after":
            await anyio.sleep_forever()
        if mood == "denies":
            raise Unavailable("nothing was done")
        return WriteReport(_misnumbered(report.rows, mood))

    async def read_stock(self, listings: Sequence[str]) -> Mapping[str, int | None]:
        mood = self._mood("reads")
        await self._misbehave(mood)
        if mood in ("none", "nonsense"):
            return cast("dict[str, int | None]", None if mood == "none" else dict.fromkeys(listings, "many"))
        read = dict(await super().read_stock(listings))
        if mood == "unasked":
            return {**read, "nobody-asked-for-this": 4}
        if mood == "empty":
            return {}
        number = {"negative": -5, "huge": HUGE}.get(mood)
        return read if number is None else dict.fromkeys(read, number)


def _untyped(value: object) -> Any:
    """A value of another type than the interface says, past the type checker."""
    return value


async def _ack_raises() -> None:
    raise RuntimeError("a plain bug in acknowledge")


def _spoilt(state: OrderState, mood: str) -> OrderState:
    """A state with its times or counts spoilt."""
    if mood == "naive":
        naive = START.replace(tzinfo=None)
        return replace(state, placed_at=naive, as_of=naive)
    if mood in ("negative", "huge"):
        return replace(state, lines=tuple(_counted(line, -1 if mood == "negative" else HUGE) for line in state.lines))
    if mood == "same_lines":
        return replace(state, lines=state.lines * 2)
    return state


def _counted(line: LineState, number: int) -> LineState:
    return replace(line, ordered=number)


def _misnumbered(
    rows: tuple[Accepted | Rejected | Pending, ...], mood: str
) -> tuple[Accepted | Rejected | Pending, ...]:
    if mood == "twice":
        return (*rows, rows[0])
    if mood == "out_of_range":
        return (*rows, Accepted(len(rows)))
    if mood == "negative_index":
        return (*rows[:-1], Accepted(-1))
    return rows


@hookimpl
def syncd_channels() -> list[type[Channel]]:
    return [HostileChannel]
