"""The contracts beside stock and orders catch what they are for: each kind of carelessness fails one part."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, ClassVar

import pytest

from syncd.clock import Clock
from syncd.sdk.channel import Capabilities, Channel, Cursor, Hint, OrderPage, Webhook
from syncd.sdk.errors import SignInRequired
from syncd.sdk.grants import Grant
from syncd.testing.contract import ChannelContract
from syncd.testing.contract_judge import CANARY
from syncd.testing.contract_stage import Stage
from syncd.testing.emulator import Emulator
from syncd.testing.memory import MemoryChannel, MemoryShop
from syncd.testing.signing import SigningChannel, SigningShop
from syncd.testing.truth import TruthListing
from syncd.testing.world import Market, World

pytestmark = pytest.mark.anyio


class Contract(ChannelContract):
    channel_type: ClassVar[type[Channel]] = MemoryChannel
    emulator_type: ClassVar[type[Emulator]] = MemoryShop

    def listing_key(self, i: int) -> str:
        return f"item-{i:05d}"


def contract_of(channel: type[Channel], emulator: type[Emulator] = MemoryShop) -> tuple[Contract, Stage]:
    class Of(Contract):
        channel_type = channel
        emulator_type = emulator

    contract = Of()
    return contract, contract.build()


async def fails(part: Callable[[Stage], Awaitable[None]], stage: Stage, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        await part(stage)


# -- pushes ------------------------------------------------------------------------------------------------------------


class Believing(MemoryChannel):
    async def receive(self, webhook: Webhook) -> Hint:
        return Hint(orders=True, id=webhook.headers.get("x-id", ""))


class Calling(MemoryChannel):
    async def receive(self, webhook: Webhook) -> Hint:
        await self.check()
        return await super().receive(webhook)


class OneId(MemoryChannel):
    async def receive(self, webhook: Webhook) -> Hint:
        await super().receive(webhook)
        return Hint(orders=True, id="always-the-same")


class Mute(MemoryChannel):
    async def receive(self, webhook: Webhook) -> Hint:
        await super().receive(webhook)
        return Hint()


class Once(MemoryChannel):
    """Believes that what was registered once stays."""

    async def register_webhooks(self, address: str) -> None:
        if not self.shop.moods.get("registered"):
            self.shop.moods["registered"] = "once"
            await super().register_webhooks(address)


class TellingKey(MemoryChannel):
    async def receive(self, webhook: Webhook) -> Hint:
        try:
            return await super().receive(webhook)
        except ValueError:
            raise ValueError(f"should be {self.settings.key.get_secret_value()}") from None


@pytest.mark.parametrize(
    ("channel", "part", "told"),
    [
        (Believing, "test_a_push_with_another_key_is_refused", "its key is wrong"),
        (Believing, "test_a_push_without_its_proof_is_refused", "was believed"),
        (Calling, "test_a_push_is_read_without_a_call", "made a call"),
        (OneId, "test_a_repeated_push_has_the_same_id_and_another_push_another", "two pushes of one id"),
        (Mute, "test_every_push_of_an_order_is_believed_and_asks_for_orders", "hints at nothing"),
        (Once, "test_a_lost_registration_is_noticed_and_comes_back", "assert"),
        (Once, "test_our_old_address_is_taken_away", "before.example.com"),
        (TellingKey, "test_a_refusal_tells_no_secret", "a secret stands"),
    ],
)
async def test_a_careless_receiver_of_pushes_fails(channel: type[Channel], part: str, told: str) -> None:
    contract, stage = contract_of(channel)
    await fails(getattr(contract, part), stage, told)


class SaysItSigns(MemoryShop):
    signs_pushes = True


async def test_a_body_that_nobody_verifies_fails() -> None:
    contract, stage = contract_of(MemoryChannel, SaysItSigns)
    await fails(contract.test_a_push_whose_body_was_changed_anywhere_is_refused, stage, "byte 0 was changed")


# -- sign-ins ----------------------------------------------------------------------------------------------------------


class Hasty(SigningChannel):
    """Renews without the lock of one refresher."""

    async def _renewed(self) -> Grant:
        grant = await self.context.grants.load(self.application)
        assert grant is not None
        assert grant.refresh is not None
        fresh = await self.server.exchange_refresh(grant.refresh.get_secret_value())
        await self.context.grants.save(self.application, fresh)
        return fresh


class InMemory(SigningChannel):
    """Keeps what it renews to itself."""

    async def _renewed(self) -> Grant:
        grant = await self.context.grants.load(self.application)
        if grant is None or grant.refresh is None:
            raise SignInRequired("nobody has signed in yet")
        return await self.server.exchange_refresh(grant.refresh.get_secret_value())


class Gullible(SigningChannel):
    """Takes anything for a code."""

    async def sign_in(self, brought_back: str) -> None:
        await super().sign_in(brought_back if "code=" in brought_back else "https://x/?code=none")


@pytest.mark.parametrize(
    ("channel", "part"),
    [
        (Hasty, "test_two_shops_of_one_grant_renew_it_once"),
        (InMemory, "test_a_grant_is_kept_before_it_is_used"),
        (InMemory, "test_renewals_go_on_over_restarts_under_every_setting_of_the_sign_in"),
        (Gullible, "test_what_holds_no_code_is_refused_with_a_sentence_and_without_a_call"),
    ],
)
async def test_a_careless_sign_in_fails(channel: type[Channel], part: str) -> None:
    contract, stage = contract_of(channel, SigningShop)
    with pytest.raises((AssertionError, SignInRequired)):
        await getattr(contract, part)(stage)


# -- options -----------------------------------------------------------------------------------------------------------


class Taking(MemoryChannel):
    """Takes every value, forgets the others, and sets a number that it once read."""

    async def set_listing_options(self, listing: str, options: Mapping[str, str]) -> None:
        def keep() -> None:
            self.shop.set_options[listing] = dict(options)
            self.shop.market.hand_edit(listing, 50)

        await self.call("write", keep, effect=True)


class Unnamed(MemoryChannel):
    @property
    def capabilities(self) -> Capabilities:
        told = super().capabilities
        known: dict[str, Any] = {name: getattr(told, name) for name in Capabilities.__dataclass_fields__}
        return Capabilities(**{**known, "listing_options": frozenset({"colour"})})


@pytest.mark.parametrize(
    ("channel", "part", "told"),
    [
        (Taking, "test_an_empty_text_takes_one_away_and_leaves_the_others", "assert"),
        (Taking, "test_a_number_written_since_is_not_put_back_by_an_option", "50 == 3"),
        (Unnamed, "test_a_dead_key_sets_nothing", "colour"),
    ],
)
async def test_an_option_that_is_set_carelessly_fails(channel: type[Channel], part: str, told: str) -> None:
    contract, stage = contract_of(channel)
    await fails(getattr(contract, part), stage, told)


async def test_a_value_that_is_not_checked_fails() -> None:
    contract, stage = contract_of(Taking)
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        await contract.test_what_is_not_allowed_is_refused_by_name_and_nothing_is_set(stage)


# -- the emulator and its judge ----------------------------------------------------------------------------------------


class Untold(MemoryShop):
    """Gives orders and numbers, and tells the market nothing of it."""

    def __init__(self, world: World, market: Market, clock: Clock) -> None:
        super().__init__(world, Deaf(world, market.name), clock)
        self.market.listings, self.market.orders = market.listings, market.orders


class Deaf(Market):
    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name, visibility=timedelta(), restocks_on_cancel=True)

    def delivered(self, numbers: Iterable[str]) -> None:
        list(numbers)

    def read_orders_began(self, began: datetime) -> None:
        pass

    def shows(self, key: str, began: datetime | None = None) -> TruthListing | None:
        return self.listings.get(key)


class Nosy(MemoryChannel):
    """Keeps the buyer's name."""

    async def fetch_orders(self, cursor: Cursor | None) -> OrderPage:
        page = await super().fetch_orders(cursor)
        return replace(page, states=tuple(replace(state, label=CANARY) for state in page.states))


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ("test_orders_that_were_given_are_known_to_be_delivered", "`delivered`"),
        ("test_a_whole_read_of_orders_is_known_to_have_begun", "`read_orders_began`"),
        ("test_numbers_that_were_given_are_known_to_be_read", "`shows`"),
    ],
)
async def test_an_emulator_that_tells_the_judge_nothing_fails(part: str, told: str) -> None:
    contract, stage = contract_of(MemoryChannel, Untold)
    await fails(getattr(contract, part), stage, told)


async def test_a_channel_that_keeps_a_buyer_fails(caplog: pytest.LogCaptureFixture) -> None:
    contract, stage = contract_of(Nosy)
    with pytest.raises(AssertionError, match="a buyer stands in an order's state"):
        await contract.test_no_buyer_stands_in_a_state_or_a_log_line(stage, caplog)
