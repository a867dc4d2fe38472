"""Contract: a person signs in (OAuth). A page, a code that is good once, tokens kept before use, one renewal for all.

The emulator plays it by `testing/mall.py`: `SignsIn`. Grants are kept over restarts, as the core's store does.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from syncd.sdk.channel import Channel
from syncd.sdk.errors import ChannelError, SignInRequired
from syncd.sdk.grants import Grant, MemoryGrants
from syncd.testing.contract_faults import named
from syncd.testing.contract_stage import ContractBase, Stage, assert_no_secret, need
from syncd.testing.fakes import ManualClock, spawn
from syncd.testing.mall import SignsIn

NO_SIGN_IN = "signs_in is off: nobody signs in on a page of this channel"
NO_CODES = ("", "   ", "https://somewhere.example/", "https://somewhere.example/?error=access_denied")
STORE_SECONDS = 5.0
RENEWALS = 4


@dataclass(slots=True)
class SlowGrants(MemoryGrants):
    """A store that takes its time to keep a grant, and notices calls that did not wait for it."""

    clock: ManualClock
    calls: Callable[[], int]
    saved: list[Grant] = field(default_factory=list)
    hasty: int = 0  # calls that left while a grant was being kept

    def __post_init__(self) -> None:
        MemoryGrants.__init__(self)

    async def save(self, name: str, grant: Grant) -> None:
        before = self.calls()
        await self.clock.sleep(STORE_SECONDS)
        self.hasty += self.calls() - before
        self.saved.append(grant)
        await MemoryGrants.save(self, name, grant)

    def tokens(self) -> list[SecretStr]:
        return [token for grant in self.saved for token in (grant.access, grant.refresh) if token is not None]


@dataclass(slots=True)
class SignInStage:
    """A stage whose grants outlive its channels."""

    stage: Stage
    mall: SignsIn
    grants: SlowGrants

    def open(self) -> Channel:
        """The shop after a restart: all that lives on is the grant."""
        return self.stage.open(grants=self.grants)

    async def end_access(self) -> None:
        """The access token in force ends, by its own time and at the mall."""
        ends_at = self.grants.saved[-1].ends_at
        left = 0.0 if ends_at is None else (ends_at - self.stage.clock.now()).total_seconds()
        await self.stage.clock.advance(max(0.0, left) + 1)
        self.mall.end_access()

    async def walk(self, channel: Channel) -> str:
        """A person walks through the sign-in; what they brought back."""
        page = await self.stage.call(channel.sign_in_page())
        brought = self.mall.person_signs_in(page.address)
        await self.stage.call(channel.sign_in(brought))
        return brought


class SignInContract(ContractBase):
    """Signing in. Applies where `signs_in` is declared."""

    def signing(self, stage: Stage) -> SignInStage:
        need(stage.capabilities.signs_in, NO_SIGN_IN)
        assert isinstance(stage.emulator, SignsIn), "signs_in is declared, and the emulator is no mall.SignsIn"
        return SignInStage(stage, stage.emulator, SlowGrants(stage.clock, lambda: stage.emulator.calls.total()))

    async def test_the_page_says_where_and_what_to_bring_back_without_a_call(self, stage: Stage) -> None:
        here = self.signing(stage)
        page = await stage.call(here.open().sign_in_page())
        assert urlsplit(page.address).scheme == "https"
        assert len(page.bring_back.split()) >= 3, "say in plain words what to bring back"
        assert stage.emulator.calls.total() == 0, "the page made a call"

    async def test_without_a_right_a_person_is_asked_and_after_the_walk_all_works(self, stage: Stage) -> None:
        here = self.signing(stage)
        here.mall.withdraw()
        channel = here.open()
        assert isinstance(error := await stage.failure(channel.check()), SignInRequired), named(error)
        await here.walk(channel)
        assert (await stage.call(channel.check())).account
        assert (await stage.call(here.open().check())).account, "the sign-in did not outlive a restart"

    async def test_the_end_of_the_sign_in_is_told_where_it_is_known(self, stage: Stage) -> None:
        here = self.signing(stage)
        channel = here.open()
        await here.walk(channel)
        ends, told = here.grants.saved[-1].signed_in_until, (await stage.call(channel.check())).key_expires_at
        assert ends is None or (told is not None and told <= ends), f"the sign-in ends at {ends}, check told {told}"

    async def test_a_code_is_good_once_and_a_second_try_leaves_the_first_sign_in(self, stage: Stage) -> None:
        here = self.signing(stage)
        channel = here.open()
        brought = await here.walk(channel)
        kept = len(here.grants.saved)
        error = await stage.failure(channel.sign_in(brought))
        assert isinstance(error, SignInRequired), named(error)
        assert len(here.grants.saved) == kept, "a refused code changed the grant"
        assert (await stage.call(here.open().check())).account

    async def test_what_holds_no_code_is_refused_with_a_sentence_and_without_a_call(self, stage: Stage) -> None:
        here = self.signing(stage)
        channel = here.open()
        for brought in NO_CODES:
            with pytest.raises(ValueError, match=r"\S \S"):
                await stage.call(channel.sign_in(brought))
        assert stage.emulator.calls.total() == 0
        assert not here.grants.saved

    async def test_a_grant_is_kept_before_it_is_used(self, stage: Stage) -> None:
        here = self.signing(stage)
        channel = here.open()
        await here.walk(channel)
        await here.end_access()
        await stage.call(channel.check())
        assert len(here.grants.saved) >= 2, "the renewed grant was not kept"
        assert not here.grants.hasty, "a token was used while its grant was not kept yet: a crash there loses it"

    async def test_renewals_go_on_over_restarts_under_every_setting_of_the_sign_in(self, stage: Stage) -> None:
        here = self.signing(stage)
        names = here.mall.sign_in_quirks
        for values in itertools.product(*(stage.emulator.quirks[name] for name in names)):
            quirks = dict(zip(names, values, strict=True))
            again = self.signing(self.build(**quirks))
            await again.walk(again.open())
            for _ in range(RENEWALS):
                await again.end_access()
                assert (await again.stage.call(again.open().check())).account, f"under {quirks}"
            await again.stage.close()

    async def test_two_shops_of_one_grant_renew_it_once(self, stage: Stage) -> None:
        here = self.signing(stage)
        await here.walk(here.open())
        shops = [here.open(), here.open()]
        for shop in shops:
            await stage.call(shop.check())
        await here.end_access()
        before = len(here.grants.saved)
        tasks = [spawn(shop.check()) for shop in shops]  # each finds its token dead at the same time
        await stage.clock.advance(3600)
        assert len({task.result().account for task in tasks}) == 1
        assert len(here.grants.saved) == before + 1, "each shop renewed for itself: a rotated token would be lost"

    async def test_a_withdrawn_right_asks_for_a_person_on_every_call(self, stage: Stage) -> None:
        here = self.signing(stage)
        channel = here.open()
        await here.walk(channel)
        here.mall.withdraw()
        for _ in range(2):
            assert isinstance(error := await stage.failure(channel.check()), SignInRequired), named(error)
        await here.walk(channel)
        assert (await stage.call(channel.check())).account

    async def test_no_token_stands_in_an_error_or_a_log_line(
        self, stage: Stage, caplog: pytest.LogCaptureFixture
    ) -> None:
        here = self.signing(stage)
        channel = here.open()
        brought = await here.walk(channel)
        await stage.failure(channel.sign_in(brought))
        await here.end_access()
        await stage.call(channel.check())
        here.mall.withdraw()
        for shop in (channel, here.open()):
            assert isinstance(await stage.failure(shop.check()), ChannelError)
        assert_no_secret({"tokens": here.grants.tokens()}, stage.errors, caplog.text)
