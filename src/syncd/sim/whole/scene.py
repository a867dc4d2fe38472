"""What a seed contains: which malls, how much demand, how much trouble. Drawn by the seed, or given by a test."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from syncd.sim.rough import KINDS as ROUGH

REAL = ("rakuten", "shopify", "files")
DENSE_SECONDS = 25.0
DENSE_SKUS = 8
POLICIES = ("auto", "auto", "mirror+reserve 2", "escrow", "escrow")


class Demand(StrEnum):
    """How a SKU sells: rarely from a few pieces, now and then, all the time, or in a burst."""

    TAIL = "tail"
    MIDDLE = "middle"
    HOT = "hot"
    FLASH = "flash"


MIX = (Demand.FLASH, Demand.HOT, Demand.MIDDLE, Demand.TAIL, Demand.TAIL, Demand.MIDDLE, Demand.TAIL, Demand.HOT)


def demand_of(number: int) -> Demand:
    """How the SKU of a number sells."""
    return MIX[number % len(MIX)]


def code_of(number: int) -> str:
    """The code of the SKU of a number."""
    return f"{demand_of(number).name}-{number:03}"


@dataclass(frozen=True, slots=True)
class Scene:
    """What a play may contain. Intervals are means; infinity means never.

    `malls` are kinds of `malls.py`; of one kind there may be several shops. `trouble_seconds` is between two faults,
    `upheaval_seconds` between two deaths of the daemon, `staff_seconds` between two acts of staff, `bounds_seconds`
    between two looks at every bound. `policies` says by SKU how it is kept from being oversold, where that is not the
    default; `sales` from when to when it is in a sale.
    """

    seconds: float
    malls: tuple[str, ...]
    skus: int = 30
    orders_a_second: float = 0.3
    flash_seconds: float = 600.0
    trouble_seconds: float = math.inf
    upheaval_seconds: float = math.inf
    staff_seconds: float = 60.0
    batch_seconds: float = 30.0
    sweep_seconds: float = 60.0
    bounds_seconds: float = 30.0
    hands: bool = True
    oversells: bool = False
    policies: Mapping[str, str] = field(default_factory=dict)
    sales: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def scene_of(seed: int, seconds: float) -> Scene:
    """The scene of a seed: three to six malls, at least two of them real, with more or less trouble."""
    rng = Random(f"scene {seed}")  # noqa: S311  # a play must repeat
    real = rng.sample(REAL, rng.choice([2, 2, 3]))
    more = rng.choices([*REAL, *ROUGH], k=rng.choice([1, 2, 3]))
    skus = rng.choice([12, 30, 60])
    return Scene(
        seconds=seconds,
        malls=(*real, *more),
        skus=skus,
        orders_a_second=rng.choice([0.1, 0.2, 0.4]),
        flash_seconds=rng.choice([300.0, 900.0]),
        trouble_seconds=rng.choice([15.0, 40.0, 120.0]),
        upheaval_seconds=rng.choice([150.0, 400.0, 1200.0]),
        staff_seconds=rng.choice([20.0, 60.0]),
        batch_seconds=rng.choice([15.0, 60.0, 180.0]),
        hands=rng.random() < 0.7,
        oversells=rng.random() < 0.3,
        policies=_policies(seed, skus),
    )


def _policies(seed: int, skus: int) -> dict[str, str]:
    """In half of the seeds some SKUs are not simply mirrored."""
    rng = Random(f"policies {seed}")  # noqa: S311  # a play must repeat
    if rng.random() < 0.5:
        return {}
    return {code_of(number): rng.choice(POLICIES) for number in range(skus) if rng.random() < 0.3}


def _sales(seed: int, skus: int, seconds: float) -> dict[str, tuple[float, float]]:
    """In half of the seeds some SKUs, whatever their policy, are in a sale that begins and ends within the play."""
    rng = Random(f"sales {seed}")  # noqa: S311  # a play must repeat
    if rng.random() < 0.5:
        return {}
    sales = {}
    for number in range(skus):
        begins, lasts = seconds * rng.uniform(0.1, 0.5), seconds * rng.uniform(0.1, 0.3)
        if rng.random() < 0.15:
            sales[code_of(number)] = (begins, begins + lasts)
    return sales


def dense(seconds: float = DENSE_SECONDS, malls: tuple[str, ...] = (), seed: int = 1) -> Scene:
    """A short scene of rough malls in which as much happens as in hours of trade."""
    rng = Random(f"dense {seed}")  # noqa: S311  # a play must repeat
    return Scene(
        seconds=seconds,
        malls=malls or tuple(rng.sample(sorted(ROUGH), 4)),
        skus=DENSE_SKUS,
        orders_a_second=1.6,
        flash_seconds=20.0,
        trouble_seconds=2.5,
        upheaval_seconds=12.0,
        staff_seconds=3.0,
        batch_seconds=5.0,
        sweep_seconds=30.0,
        bounds_seconds=0.0,
        policies=_policies(seed, DENSE_SKUS),
        sales=_sales(seed, DENSE_SKUS, seconds),
    )
