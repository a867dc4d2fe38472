"""Malls, goods and listings of a play, by chance."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from syncd.sim.rough import KINDS, Habits, Nature, RoughShop, options_of
from syncd.sim.script import CALL_SECONDS, POLL_SECONDS, ROUND_TRIP_SECONDS, SWEEP_SECONDS
from syncd.sim.stage import Part

if TYPE_CHECKING:
    from syncd.sim.nemesis import Play


def furnish(play: Play) -> None:
    """Malls, goods and listings by chance."""
    rng, world = play.rng, play.world
    plain = [f"S{i}" for i in range(play.script.skus)]
    for sku in plain:
        world.stock(sku, rng.choice([3, 8, 15, 30]))
    world.bundle("SET1", {plain[0]: 1, plain[1]: 2})
    world.bundle("SET2", {"SET1": 1, plain[2]: 1})
    play.opened = dict(world.on_hand)
    kinds = list(play.script.kinds) or rng.sample(sorted(KINDS), play.script.malls)
    for number, kind in enumerate(kinds):
        _mall(play, f"{kind}-{number}", kind, [*plain, "SET1", "SET2"])


def _mall(play: Play, name: str, kind: str, skus: list[str]) -> None:
    rng, options = play.rng, options_of(kind, play.rng)
    market = play.world.market(
        name, visibility_seconds=options["visibility_seconds"],
        restocks_on_cancel=options.pop("restocks_truly"),
    )  # fmt: skip
    for sku in skus:
        for twin in range(1 + (rng.random() < 0.1)):
            if rng.random() < 0.85:
                pack = rng.choice([1, 1, 1, 2, 3])
                market.offer(f"{sku}-{twin}", sku, shown=0, pack=pack)
    habits = Habits(rng.choice([0.0, 0.0, -1.5, 1.5]), rng.random() < 0.4)
    nature = Nature(Random(rng.random()), habits)  # noqa: S311  # a play must repeat
    shop = RoughShop(
        play.world, market, play.clock, nature=nature, trace=play.trace, options=options,
        round_trip_seconds=ROUND_TRIP_SECONDS,
    )  # fmt: skip
    for listing in market.listings.values():
        listing.shown = play.world.should_show(listing)
    settings = {
        "poll_seconds": POLL_SECONDS, "reconcile_seconds": SWEEP_SECONDS, "timeout_seconds": CALL_SECONDS,
        "hand_edits": "overwrite",
    }  # fmt: skip
    play.parts[name] = Part(shop, "memory", settings)
    play.kinds[name] = kind
