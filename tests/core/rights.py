"""One SKU on five malls of five write forms, its keeper by the rules of `core/escrow.py`, and what must hold.

The truth (what is shown, sold, cancelled, applied late) and the keeper's books live side by side; the keeper only sees
what a daemon can see. `Rules` names each rule's decision once, so that a test can put a wrong one in its place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from syncd.core import escrow
from syncd.core.escrow import Exposure, Holding
from syncd.core.fence import GRAIN_US
from syncd.sdk.channel import Form

SECOND = 1_000_000
BEGIN = 1_700_000_000 * SECOND
VISIBLE = 20 * SECOND
DEAD = 60 * SECOND
STALE = 90 * SECOND


class Broken(Exception):
    """A promise does not hold."""


@dataclass(frozen=True)
class Rules:
    """The decisions of R1-R12, each by name."""

    r1_cost: Callable[[Form, int, int | None], int] = escrow.cost_of
    r1_guard: Callable[[int | None, int], bool] = lambda left, cost: left is not None and cost <= left
    r2_sent: Callable[[Exposure, int], Exposure] = escrow.sent
    r2_booked_late: bool = False
    r3_credit: Callable[[Form, int, int | None, int | None], int] = escrow.credit_of
    r3_credit_at_send: bool = False
    r4_barrier: Callable[[Exposure, int], Exposure] = escrow.barrier
    r5_once: bool = True
    r6_put_back: Callable[[Exposure, int], Exposure] = escrow.put_back
    r7_lost: Callable[[Exposure, int, int], Exposure] = lambda have, dead_us, _cost: escrow.lost(have, dead_us)
    r7_repeats: bool = False
    r8_read: Callable[[Exposure, int, int, int], Exposure] = escrow.read
    r9_one_open: bool = True
    r10_restart: Callable[[Exposure, int, int], Exposure] = lambda have, dead_us, _cost: escrow.lost(have, dead_us)
    r11_restored: Callable[[Exposure], Exposure] = escrow.unknown
    r12_stale: Callable[[int, int, int], bool] = escrow.feed_is_stale


@dataclass(slots=True)
class Sale:
    """One order; `stamp` is what the mall says, `at` is true."""

    at: int
    units: int
    visible: int
    stamp: int
    booked: bool = False
    cancelled_at: int = 0
    cancel_visible: int = 0
    cancel_booked: bool = False


@dataclass(slots=True)
class Call:
    """One write on its way: what it does, what it cost, and whether it took effect."""

    form: Form
    quantity: int
    expected: int | None
    cost: int
    sent_us: int
    alone: bool = True
    applied: bool | None = None
    after: int = 0
    taken: int = 0


@dataclass(slots=True)
class Mall:
    """Truth and books of one listing."""

    form: Form
    shown: int = 0
    reads: bool = True
    skew: int = 0
    restocks: bool = True
    sales: list[Sale] = field(default_factory=list)
    have: Exposure = field(default_factory=Exposure)
    calls: list[Call] = field(default_factory=list)
    late: list[tuple[int, Call]] = field(default_factory=list)
    read_us: int = BEGIN
    watermark_us: int = 0
    reading: tuple[int, int] | None = None  # a read under way: began, number

    @property
    def margin(self) -> int:
        return abs(self.skew) + GRAIN_US

    @property
    def unbooked(self) -> int:
        """Units accepted and not booked, less those cancelled and not booked."""
        out = 0
        for sale in self.sales:
            out += 0 if sale.booked else sale.units
            out -= sale.units if sale.cancelled_at and not sale.cancel_booked else 0
        return out


@dataclass(slots=True)
class World:
    """The five malls, the ledger, and the steps of a walk."""

    rng: Random
    rules: Rules = field(default_factory=Rules)
    now: int = BEGIN
    free: int = 12
    truly_free: int = 12
    malls: list[Mall] = field(default_factory=list)
    backup: list[Exposure] | None = None
    oversold: int = 0
    raised: int = 0

    @classmethod
    def of(cls, rng: Random, rules: Rules) -> World:
        forms = (Form.RELATIVE_REFUSES, Form.RELATIVE_CLAMPS, Form.COMPARE_AND_SET, Form.ABSOLUTE, Form.ABSOLUTE)
        world = cls(rng, rules)
        world.malls = [Mall(form, skew=rng.choice((0, 0, -3, 4)) * SECOND) for form in forms]
        world.malls[-1].reads = False
        for mall in world.malls:
            mall.have = Exposure(bound=0)
        return world

    # -- the truth ----------------------------------------------------------------------------------------------

    def sell(self, mall: Mall) -> None:
        units = min(mall.shown, self.rng.choice((1, 1, 2)))
        if units:
            mall.shown -= units
            self.truly_free -= units
            stamp = (self.now + mall.skew) // SECOND * SECOND
            mall.sales.append(Sale(self.now, units, self.now + self.rng.randrange(VISIBLE), stamp))
            if self.truly_free < 0:
                self.oversold += 1

    def cancel(self, mall: Mall) -> None:
        open_sales = [one for one in mall.sales if not one.cancelled_at]
        if open_sales:
            sale = self.rng.choice(open_sales)
            sale.cancelled_at, sale.cancel_visible = self.now, max(sale.visible, self.now + self.rng.randrange(VISIBLE))
            self.truly_free += sale.units
            mall.shown += sale.units if mall.restocks else 0

    def receive(self) -> None:
        units = self.rng.choice((1, 3, 6))
        self.free += units
        self.truly_free += units

    def apply(self, mall: Mall, call: Call) -> None:
        before = mall.shown
        if call.form is Form.COMPARE_AND_SET:
            call.applied = before == call.expected
            mall.shown = call.quantity if call.applied else before
        elif call.form is Form.RELATIVE_REFUSES:
            call.applied = before + call.quantity >= 0
            mall.shown = before + call.quantity if call.applied else before
        elif call.form is Form.RELATIVE_CLAMPS:
            call.applied, mall.shown = True, max(0, before + call.quantity)
        else:
            call.applied, mall.shown = True, call.quantity
        call.after = mall.shown

    # -- the keeper ---------------------------------------------------------------------------------------------

    def left(self) -> int | None:
        return escrow.rights_left(self.free, (Holding(mall.have.bound) for mall in self.malls))

    def plan(self, mall: Mall) -> None:
        """Choose a write: a raise, a lowering or a write to 0; book it and send it."""
        rng, form, zero = self.rng, mall.form, False
        believed = max(0, mall.have.bound or 0)
        if form is Form.ABSOLUTE or rng.random() < 0.15:
            zero = rng.random() < 0.4
            form = Form.ABSOLUTE
        quantity = 0 if zero else rng.randrange(1, 6)
        expected = None
        if form in (Form.RELATIVE_REFUSES, Form.RELATIVE_CLAMPS):
            quantity = rng.choice((-2, -1, 1, 2, 4))
        elif form is Form.COMPARE_AND_SET:
            expected = rng.choice((mall.shown, believed, max(0, believed - 1)))
        cost = self.rules.r1_cost(form, quantity, expected)
        if mall.calls and self.rules.r9_one_open and not zero:
            return
        if not zero and mall.have.dead_us is not None and self.rules.r9_one_open:
            return
        if cost:
            if self.rules.r12_stale(mall.read_us, self.now, STALE) or not self.rules.r1_guard(self.left(), cost):
                return
            if self.now - mall.read_us > STALE:
                raise Broken("a raise on a shop whose orders are not read")
            self.raised += 1
        self._send(mall, Call(form, quantity, expected, cost, self.now))

    def _send(self, mall: Mall, call: Call) -> None:
        alive = [until for until, _late in mall.late if until > self.now]
        call.alone = not mall.calls and not alive
        if self.rules.r9_one_open:
            for other in mall.calls:
                other.alone = False
        else:
            call.alone = True
        mall.have = self.rules.r2_sent(mall.have, 0 if self.rules.r2_booked_late else call.cost)
        if self.rules.r3_credit_at_send:
            credit = self.rules.r3_credit(call.form, call.quantity, call.expected, 1)
            mall.have = escrow.accepted_change(escrow.sent(mall.have, 0), credit)
        mall.calls.append(call)

    def answer(self, mall: Mall) -> None:
        call = mall.calls.pop(0) if mall.calls else None
        if call is None:
            return
        if call.applied is None:
            self.apply(mall, call)
        if self.rules.r2_booked_late:
            mall.have = escrow.accepted_change(escrow.sent(mall.have, call.cost), 0)
        if not call.applied:
            mall.have = escrow.refused(mall.have, call.cost)
        elif call.form is Form.ABSOLUTE:
            mall.have = escrow.accepted_number(mall.have, call.quantity, call.sent_us, self.now, alone=call.alone)
        else:
            credit = self.rules.r3_credit(call.form, call.quantity, call.expected, call.after)
            if self.rules.r3_credit_at_send:
                credit = 0
            mall.have = escrow.accepted_change(mall.have, credit)

    def lose(self, mall: Mall) -> None:
        """The answer never comes. The write was applied, or will be until its dead time, or never."""
        call = mall.calls.pop(0) if mall.calls else None
        if call is None:
            return
        dead_us = self.now + DEAD
        mall.have = self.rules.r7_lost(mall.have, dead_us, call.cost)
        if call.applied is None:
            mall.late.append((dead_us, call))
        if self.rules.r7_repeats:
            again = Call(call.form, call.quantity, call.expected, 0, self.now)
            mall.have = escrow.sent(mall.have, 0)
            mall.calls.append(again)

    def land(self, mall: Mall) -> None:
        if mall.late:
            until, call = mall.late.pop(0)
            if self.now < until and self.rng.random() < 0.7:
                self.apply(mall, call)

    def crash(self) -> None:
        """R10: at the start every write under way is in limbo before the first poll."""
        for mall in self.malls:
            mall.reading = None
            for call in mall.calls:
                mall.have = self.rules.r10_restart(mall.have, self.now + DEAD, call.cost)
                if call.applied is None:
                    mall.late.append((self.now + DEAD, call))
            mall.calls.clear()

    def keep_backup(self) -> None:
        self.backup = [mall.have for mall in self.malls]

    def restore(self) -> None:
        """R11. The orders are in the backup, too, or are read again; what is under way is lost with it."""
        if self.backup is not None and not any(mall.calls or mall.late for mall in self.malls):
            for mall, old in zip(self.malls, self.backup, strict=True):
                mall.have, mall.reading = self.rules.r11_restored(old), None

    def poll(self, mall: Mall) -> None:
        for sale in mall.sales:
            if sale.visible <= self.now and (not sale.booked or not self.rules.r5_once):
                sale.booked = True
                self.free -= sale.units
                mall.have = escrow.sold(mall.have, sale.units, sale.stamp, sale.stamp, mall.margin)
            if sale.cancelled_at and sale.cancel_visible <= self.now and not sale.cancel_booked:
                sale.cancel_booked, mall.reading = True, None  # a read that was out may not have seen it come back
                self.free += sale.units
                mall.have = self.rules.r6_put_back(mall.have, sale.units) if mall.restocks else mall.have
        mall.read_us = self.now
        mall.watermark_us = self.now - VISIBLE - mall.margin
        mall.have = self.rules.r4_barrier(mall.have, mall.watermark_us)

    def read(self, mall: Mall) -> None:
        """A stock read takes time; one that met a write of ours is thrown away."""
        if not mall.reads or mall.calls:
            return
        if mall.reading is None:
            mall.reading = (self.now, mall.shown)
            return
        began, number = mall.reading
        mall.reading = None
        if not mall.calls and all(call.sent_us < began for _, call in mall.late):
            mall.have = self.rules.r8_read(mall.have, number, began, self.now)

    # -- a walk ---------------------------------------------------------------------------------------------------

    def step(self) -> None:
        rng = self.rng
        mall = rng.choice(self.malls)
        touched = mall.calls[0] if mall.calls else None
        act = rng.choices(ACTS, WEIGHTS)[0]
        if act == "sell":
            self.sell(mall)
        elif act == "cancel":
            self.cancel(mall)
        elif act == "receive":
            self.receive()
        elif act == "plan":
            self._before_write(mall)
            self.plan(mall)
        elif act == "apply" and touched is not None and touched.applied is None:
            self.apply(mall, touched)
        elif act == "crash":
            self.crash()
        elif act == "backup":
            self.keep_backup()
        elif act == "restore":
            self.restore()
        elif act == "wait":
            self.now += rng.choice((100_000, SECOND, 5 * SECOND, 30 * SECOND, 70 * SECOND))
        elif act in ("answer", "lose", "land", "poll", "read"):
            getattr(self, act)(mall)
        self.now += 1
        self.check()

    def _before_write(self, mall: Mall) -> None:
        mall.reading = None  # what was read before a write tells nothing after it

    def check(self) -> None:
        """The invariants, after every step."""
        for number, mall in enumerate(self.malls):
            if mall.have.bound is not None and mall.shown + mall.unbooked > mall.have.bound:
                raise Broken(f"mall {number} ({mall.form}): {mall.shown} + {mall.unbooked} > {mall.have.bound}")
        if self.oversold:
            raise Broken("oversold")


ACTS = ("sell", "cancel", "receive", "plan", "apply", "answer", "lose", "land", "poll", "read", "wait", "crash",
        "backup", "restore")  # fmt: skip
WEIGHTS = (8, 1, 0.5, 6, 4, 4, 1, 1, 5, 4, 5, 0.2, 0.2, 0.1)


def walk(seed: int, rules: Rules | None = None, steps: int = 400) -> World:
    """One life by chance. Raises Broken at the first promise that does not hold."""
    world = World.of(Random(seed), rules or Rules())
    for _ in range(steps):
        world.step()
    return world


def first_broken(rules: Rules, seeds: range) -> int | None:
    """The first seed whose walk breaks a promise."""
    for seed in seeds:
        try:
            walk(seed, rules)
        except Broken:
            return seed
    return None
