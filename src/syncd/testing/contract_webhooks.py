"""Contract: pushes in. Registered once and kept registered, believed only when proven, never more than a hint.

The emulator plays them by `testing/mall.py`: `Pushes`.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from pydantic import SecretStr

from syncd.sdk.channel import Hint, Webhook
from syncd.sdk.errors import ChannelError, Closed, InDoubt, SignInRequired, Unavailable
from syncd.testing.contract_faults import named
from syncd.testing.contract_orders import OrdersContract, buy_many
from syncd.testing.contract_stage import Stage, assert_no_secret, need, secrets_in
from syncd.testing.emulator import FaultKind
from syncd.testing.mall import Pushes

NO_PUSHES = "publishes_webhooks is off: this channel pushes nothing to us"
BY_HAND = "a person registers the address in the mall's own pages"
ONLY_A_KEY = "this mall's pushes bear a key and are not signed"
ADDRESS = "https://hooks.example.com/webhooks/test"
BEFORE = "https://before.example.com/webhooks/test"
JUNK = (b"", b"\x00", b"<", b"{", b"[]", b"null", b"\xff\xfe\x00<", b"<a>" * 500)


def pushes_of(stage: Stage) -> Pushes:
    need(stage.capabilities.publishes_webhooks, NO_PUSHES)
    assert isinstance(stage.emulator, Pushes), "publishes_webhooks is declared, and the emulator is no mall.Pushes"
    return stage.emulator


def registering(stage: Stage) -> Pushes:
    mall = pushes_of(stage)
    need(mall.registered() is not None, BY_HAND)
    return mall


class WebhooksContract(OrdersContract):
    """Pushes. Applies where `publishes_webhooks` is declared."""

    async def pushes(self, stage: Stage, count: int = 3) -> Sequence[Webhook]:
        """Pushes about so many new orders, registered before."""
        mall = pushes_of(stage)
        await stage.call(stage.channel.register_webhooks(ADDRESS))
        mall.pushed()
        buy_many(stage, count)
        found = mall.pushed()
        assert len(found) >= count, f"{count} orders, and the emulator pushed {len(found)} times"
        return found

    @staticmethod
    async def refusal(stage: Stage, push: Webhook, why: str) -> None:
        """A push has to be refused, and the text tells no secret."""
        try:
            hint = await stage.call(stage.channel.receive(push))
        except ValueError:
            return
        raise AssertionError(f"{why}, and it was believed: {hint}")

    # -- registered ----------------------------------------------------------------------------------------

    async def test_pushes_are_registered_once_and_found_there_again(self, stage: Stage) -> None:
        mall = registering(stage)
        await stage.call(stage.channel.register_webhooks(ADDRESS))
        once = sorted(mall.registered() or ())
        assert once, "nothing is registered"
        assert set(once) == {ADDRESS}
        await stage.call(stage.open().register_webhooks(ADDRESS))
        assert sorted(mall.registered() or ()) == once, "registered twice: every push would come twice"

    async def test_a_lost_registration_is_noticed_and_comes_back(self, stage: Stage) -> None:
        mall = registering(stage)
        await stage.call(stage.channel.register_webhooks(ADDRESS))
        once = sorted(mall.registered() or ())
        mall.forget_registration()
        assert not mall.registered()
        await stage.call(stage.channel.register_webhooks(ADDRESS))
        assert sorted(mall.registered() or ()) == once

    async def test_our_old_address_is_taken_away(self, stage: Stage) -> None:
        mall = registering(stage)
        await stage.call(stage.channel.register_webhooks(BEFORE))
        await stage.call(stage.open().register_webhooks(ADDRESS))
        assert set(mall.registered() or ()) == {ADDRESS}

    @pytest.mark.parametrize("kind", [FaultKind.LOST_BEFORE, FaultKind.LOST_AFTER, FaultKind.GARBAGE_AFTER])
    async def test_a_registration_that_failed_half_way_is_whole_after_the_next(
        self, stage: Stage, kind: FaultKind
    ) -> None:
        mall = registering(stage)
        await stage.call(stage.channel.register_webhooks(ADDRESS))
        once = sorted(mall.registered() or ())
        mall.forget_registration()
        async for _, error in stage.sweep(kind, lambda channel: channel.register_webhooks(ADDRESS)):
            assert isinstance(error, ChannelError), f"a fault, and no error: {named(error)}"
            await stage.call(stage.open().register_webhooks(ADDRESS))
            assert sorted(mall.registered() or ()) == once
            mall.forget_registration()

    async def test_a_dead_key_or_maintenance_stops_the_registration(self, stage: Stage) -> None:
        registering(stage)
        stage.emulator.key_works = False
        error = await stage.failure(stage.channel.register_webhooks(ADDRESS))
        assert isinstance(error, SignInRequired), named(error)
        stage.emulator.key_works, stage.emulator.maintenance = True, True
        error = await stage.failure(stage.open().register_webhooks(ADDRESS))
        assert isinstance(error, Closed | Unavailable | InDoubt), named(error)

    # -- believed ------------------------------------------------------------------------------------------

    async def test_every_push_of_an_order_is_believed_and_asks_for_orders(self, stage: Stage) -> None:
        for push in await self.pushes(stage):
            hint = await stage.call(stage.channel.receive(push))
            assert isinstance(hint, Hint), f"receive gave {hint!r:.200}"
            assert hint.orders or hint.listings, f"a push about an order hints at nothing: {hint}"

    async def test_a_push_is_read_without_a_call(self, stage: Stage) -> None:
        pushes = await self.pushes(stage)
        before, channel = stage.emulator.calls.total(), stage.open()
        for push in pushes:
            await stage.call(channel.receive(push))
        assert stage.emulator.calls.total() == before, "receive made a call: a flood of pushes would eat the budget"

    async def test_a_repeated_push_has_the_same_id_and_another_push_another(self, stage: Stage) -> None:
        pushes = await self.pushes(stage)
        ids = [(await stage.call(stage.channel.receive(push))).id for push in pushes]
        again = [(await stage.call(stage.open().receive(push))).id for push in pushes]
        assert ids == again
        told = [one for one in ids if one]
        assert len(set(told)) == len(told), f"two pushes of one id: the second would be dropped: {told}"

    async def test_a_push_whose_body_was_changed_anywhere_is_refused(self, stage: Stage) -> None:
        need(pushes_of(stage).signs_pushes, ONLY_A_KEY)
        [push, *_] = await self.pushes(stage, 1)
        for at in range(len(push.body)):
            body = push.body[:at] + bytes([push.body[at] ^ 1]) + push.body[at + 1 :]
            await self.refusal(stage, Webhook(push.headers, body), f"byte {at} was changed")
        for body in (push.body + b"\n", b" " + push.body, push.body[:-1], b""):
            await self.refusal(stage, Webhook(push.headers, body), "the body is not as it was signed")

    async def test_a_push_with_another_key_is_refused(self, stage: Stage) -> None:
        """A stranger may have everything but the key: each secret that stands in a push is put wrong."""
        need(not pushes_of(stage).signs_pushes, "this mall's pushes are signed, and bear no key")
        [push, *_] = await self.pushes(stage, 1)
        told = " ".join(push.headers.values()).encode() + push.body
        assert any(one and one.encode() in told for one in secrets_in(stage.emulator.settings())), "a push bears no key"
        for secret in filter(None, secrets_in(stage.emulator.settings())):
            wrong = secret[:-1] + ("a" if secret[-1] != "a" else "b")
            headers = {name: value.replace(secret, wrong) for name, value in push.headers.items()}
            forged = Webhook(headers, push.body.replace(secret.encode(), wrong.encode()))
            if forged != push:
                await self.refusal(stage, forged, "its key is wrong")

    async def test_a_push_without_its_proof_is_refused(self, stage: Stage) -> None:
        [push, *_] = await self.pushes(stage, 1)
        for junk in JUNK:
            await self.refusal(stage, Webhook({}, junk), f"it is {junk!r:.40}")
            if pushes_of(stage).signs_pushes:
                await self.refusal(stage, Webhook(push.headers, junk), f"under a signature it is {junk!r:.40}")
        if pushes_of(stage).signs_pushes:
            await self.refusal(stage, Webhook({}, push.body), "there is no header")

    async def test_a_refusal_tells_no_secret(self, stage: Stage) -> None:
        [push, *_] = await self.pushes(stage, 1)
        headers = push.headers if pushes_of(stage).signs_pushes else {}
        for forged in (Webhook({}, push.body[:-2]), Webhook(headers, b"{}"), Webhook({}, b"")):
            with pytest.raises(ValueError, match=r"\S") as refused:
                await stage.call(stage.channel.receive(forged))
            secrets = {"all": [SecretStr(one) for one in secrets_in(stage.emulator.settings())]}
            assert_no_secret(secrets, [refused.value], "")

    # -- a hint and nothing more ---------------------------------------------------------------------------

    async def test_pushes_repeated_late_and_in_any_order_change_nothing_that_is_read(self, stage: Stage) -> None:
        need(stage.capabilities.reads_orders, "reads_orders is off: a push cannot ask for orders")
        await stage.poll()
        pushes = list(await self.pushes(stage, 8))
        orders = list(stage.market.orders.values())
        for push in [*reversed(pushes), *pushes]:
            await stage.call(stage.channel.receive(push))
        await self.found_within_a_few_polls(stage)
        self.assert_found(stage, orders)
        before = stage.shown_orders()
        for push in pushes:
            await stage.call(stage.channel.receive(push))
        await stage.clock.advance(stage.capabilities.poll_seconds)
        await stage.poll()
        assert stage.shown_orders() == before, "an old push made an order look other than it is"

    async def test_orders_are_found_though_every_push_was_lost(self, stage: Stage) -> None:
        need(stage.capabilities.reads_orders, "reads_orders is off: a push cannot ask for orders")
        await stage.poll()
        await self.pushes(stage, 5)
        await self.found_within_a_few_polls(stage)
        self.assert_found(stage, list(stage.market.orders.values()))

    async def found_within_a_few_polls(self, stage: Stage) -> None:
        bound = stage.capabilities.visibility_seconds + 3 * stage.capabilities.poll_seconds
        await stage.clock.advance(stage.capabilities.poll_seconds)
        await stage.poll_until(lambda: len(stage.seen) >= len(stage.market.orders), within_seconds=bound)
