"""Contract: options of a listing beside its stock, as staff set them. Each one alone, and never a wrong number by it.

The emulator shows them by `testing/mall.py`: `HasOptions`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import pytest

from syncd.sdk.channel import Accepted
from syncd.sdk.errors import BrokenAnswer, InDoubt, SignInRequired, TryAgain
from syncd.testing.contract_faults import named
from syncd.testing.contract_stage import LISTINGS, SHOWN, ContractBase, Stage, need
from syncd.testing.emulator import FaultKind
from syncd.testing.mall import HasOptions

NO_OPTIONS = "listing_options is empty: this channel has no options of a listing"
NONSENSE = "?? nonsense ??"


class OptionsContract(ContractBase):
    """Options of listings. Applies where `listing_options` names some.

    `option_values` is a valid value of each option; a plugin with other options says its own.
    """

    option_values: ClassVar[Mapping[str, str]] = {"lead_time_days": "5", "restock_date": "2027-01-15"}

    def having(self, stage: Stage) -> tuple[HasOptions, dict[str, str]]:
        """The mall, and a valid value of each option."""
        names = stage.capabilities.listing_options
        need(bool(names), NO_OPTIONS)
        assert isinstance(stage.emulator, HasOptions), "listing_options is declared, the emulator is no mall.HasOptions"
        unknown = names - self.option_values.keys()
        assert not unknown, f"the test class has to name a valid value of {sorted(unknown)} in option_values"
        return stage.emulator, {name: self.option_values[name] for name in sorted(names)}

    async def set(self, stage: Stage, options: Mapping[str, str], key: str = "") -> None:
        await stage.call(stage.channel.set_listing_options(key or self.listing_key(0), options))
        await stage.settled()

    async def test_options_are_set_and_neither_a_number_nor_a_neighbour_changes(self, stage: Stage) -> None:
        mall, values = self.having(stage)
        await self.set(stage, values)
        assert dict(mall.options_of(self.listing_key(0))) == values
        assert {one.shown for one in stage.market.listings.values()} == {SHOWN}, "setting an option changed a number"
        assert not mall.options_of(self.listing_key(1))

    async def test_an_empty_text_takes_one_away_and_leaves_the_others(self, stage: Stage) -> None:
        mall, values = self.having(stage)
        for name in values:
            await self.set(stage, values)
            await self.set(stage, {name: ""})
            left = {other: value for other, value in values.items() if other != name}
            assert dict(mall.options_of(self.listing_key(0))) == left
        assert stage.shown(self.listing_key(0)) == SHOWN

    async def test_one_option_is_changed_alone_and_setting_it_again_is_harmless(self, stage: Stage) -> None:
        mall, values = self.having(stage)
        for name, value in values.items():
            await self.set(stage, {name: value})
            await self.set(stage, {name: value})
        assert dict(mall.options_of(self.listing_key(0))) == values

    async def test_options_outlive_a_stock_write(self, stage: Stage) -> None:
        mall, values = self.having(stage)
        need(bool(stage.capabilities.routes), "no write routes: this channel's stock is not written")
        await self.set(stage, values)
        for route in stage.capabilities.routes:
            outcomes = await stage.write([stage.row(0, min(route.forms), 7)], route)
            assert isinstance(outcomes.get(0), Accepted), f"{route.name}: {outcomes}"
            await stage.settled()
            assert dict(mall.options_of(self.listing_key(0))) == values, f"{route.name} took the options away"

    async def test_a_number_written_since_is_not_put_back_by_an_option(self, stage: Stage) -> None:
        mall, values = self.having(stage)
        stage.market.hand_edit(self.listing_key(0), 3)
        await self.set(stage, values)
        assert stage.shown(self.listing_key(0)) == 3
        assert dict(mall.options_of(self.listing_key(0))) == values

    async def test_what_is_not_allowed_is_refused_by_name_and_nothing_is_set(self, stage: Stage) -> None:
        mall, values = self.having(stage)
        for name in values:
            with pytest.raises(ValueError, match=name):
                await self.set(stage, {name: NONSENSE})
        with pytest.raises(ValueError, match="no_such_option"):
            await self.set(stage, {**values, "no_such_option": "1"})
        with pytest.raises(ValueError, match=r"\S \S"):
            await self.set(stage, values, self.listing_key(LISTINGS + 4321))
        assert not mall.options_of(self.listing_key(0)), "a refused call set something"

    async def test_a_lost_answer_denies_nothing_and_setting_again_helps(self, stage: Stage) -> None:
        mall, values = self.having(stage)
        key = self.listing_key(0)
        for kind in (FaultKind.LOST_BEFORE, FaultKind.LOST_AFTER, FaultKind.GARBAGE_AFTER):
            async for _, error in stage.sweep(kind, lambda channel: channel.set_listing_options(key, values)):
                assert isinstance(error, InDoubt | BrokenAnswer | TryAgain), f"{kind.value}: {named(error)}"
                await stage.settled()
                took = dict(mall.options_of(key)) == values
                assert not took or isinstance(error, InDoubt | BrokenAnswer), f"set, and denied: {named(error)}"
                await self.set(stage, values)
                assert dict(mall.options_of(key)) == values
                await self.set(stage, dict.fromkeys(values, ""))
            await self.set(stage, dict.fromkeys(values, ""))  # the last run of a sweep meets no fault
        assert stage.shown(self.listing_key(0)) == SHOWN

    async def test_a_dead_key_sets_nothing(self, stage: Stage) -> None:
        mall, values = self.having(stage)
        stage.emulator.key_works = False
        error = await stage.failure(stage.channel.set_listing_options(self.listing_key(0), values))
        assert isinstance(error, SignInRequired), named(error)
        assert not mall.options_of(self.listing_key(0))
