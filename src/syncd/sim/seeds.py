"""Plays seeds, each in a process of its own, and tells what came of them: `syncd sim`.

The first seeds of a run are played twice, in processes whose texts hash differently: the same seed must give the same
trace, or no failing seed could be played again.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from importlib.util import find_spec

import click

from syncd.sim.outcome import Broken, Layer, Outcome
from syncd.sim.same import differences

PROCESSES = 2
AHEAD = 2
"""Seeds handed out beyond those being played."""
GUARDED = 2
"""So many seeds of each layer are played twice."""
ENTRIES = {Layer.CORE: ("syncd.sim.core.play", "play_core"), Layer.WHOLE: ("syncd.sim.whole.play", "play_whole")}


@dataclass(frozen=True, slots=True)
class Ticket:
    """One seed to be played; `again` plays it a second time, to compare."""

    layer: Layer
    seed: int
    seconds: float
    again: bool = False


@dataclass(slots=True)
class Tally:
    """What came of all seeds so far."""

    played: int = 0
    orders: int = 0
    seconds: float = 0.0
    bad: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        self.played += 1
        self.orders += outcome.orders
        self.seconds += outcome.seconds
        self.bad += [] if outcome.good else [outcome]


def layers_of(wanted: str) -> tuple[Layer, ...]:
    """The layers that a word of the command line means: core, whole or both."""
    return tuple(Layer) if wanted == "both" else (Layer(wanted),)


def play_ticket(ticket: Ticket) -> Outcome:
    """Play one seed in this process."""
    module, name = ENTRIES[ticket.layer]
    play: Callable[[int, float], Outcome] = getattr(importlib.import_module(module), name)
    return play(ticket.seed, ticket.seconds)


def tickets(layers: Sequence[Layer], first: int, count: int, seconds: float) -> list[Ticket]:
    """Every seed of every layer; some of them twice."""
    seeds = range(first, first + count)
    once = [Ticket(layer, seed, seconds) for seed in seeds for layer in layers]
    twice = [] if count == 1 else [replace(one, again=True) for one in once if one.seed < first + GUARDED]
    return once + twice


def play_all(wanted: Sequence[Ticket], processes: int = PROCESSES) -> Iterator[Outcome]:
    """Play seeds side by side, told in their order. One that differs when played again is told as broken."""
    hashes: dict[tuple[Layer, int], str] = {}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, spawn) as pool, ProcessPoolExecutor(1, spawn) as others:
        under_way: list[tuple[Ticket, Future[Outcome]]] = []
        waiting = iter(wanted)

        def hand_out() -> None:
            while len(under_way) < processes + AHEAD and (ticket := next(waiting, None)) is not None:
                under_way.append((ticket, (others if ticket.again else pool).submit(play_ticket, ticket)))

        hand_out()
        while under_way:
            ticket, future = under_way.pop(0)
            outcome = future.result()
            hand_out()
            key = (ticket.layer, ticket.seed)
            if not ticket.again:
                hashes[key] = outcome.trace_hash
                yield outcome
            elif hashes[key] != outcome.trace_hash:
                what = f"played again, seed {ticket.seed} had the trace {outcome.trace_hash}, before {hashes[key]}"
                yield replace(outcome, broken=(*outcome.broken, Broken(what=what)))


def run_sim(*, layer: str, seed: int | None, seeds: int, hours: float, as_json: bool) -> int:
    """Play and tell; returns the exit code, 1 on the first broken promise. One seed is played in this process."""
    layers = tuple(one for one in layers_of(layer) if _is_there(ENTRIES[one][0]))
    wanted = tickets(layers, 1 if seed is None else seed, seeds, hours * 3600)
    outcomes = map(play_ticket, wanted) if len(wanted) == 1 else play_all(wanted)
    tally = Tally()
    for outcome in outcomes:
        tally.add(outcome)
        click.echo(outcome.line() if as_json else _told(outcome))
        if not outcome.good:
            click.echo(outcome.report(), err=True)
            return 1
    if layer == "both":
        first = 1 if seed is None else seed
        for one in range(first, first + seeds):
            if not _decide_the_same(one, as_json):
                return 1
    if not as_json:
        click.echo(f"{tally.played} seeds, {tally.seconds / 3600:g} hours, {tally.orders} orders: every promise kept")
    return 0


def _decide_the_same(seed: int, as_json: bool) -> bool:
    """Whether both layers decide the same of the seed's script; tells it."""
    found = differences(seed)
    if as_json:
        click.echo(json.dumps({"seed": seed, "same_decisions": not found, "differences": found}))
    else:
        click.echo(f"both {seed}: {'the layers differ' if found else 'the same decisions'}")
        for text in found:
            click.echo(f"  {text}", err=True)
    return not found


def _is_there(module: str) -> bool:
    """Whether a layer can be played."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _told(outcome: Outcome) -> str:
    verdict = "kept" if outcome.good else "BROKEN"
    oversold = f"oversold {outcome.oversold_by_us} by us, {outcome.oversold_by_channel} by a channel"
    return f"{outcome.layer} {outcome.seed}: {verdict}; {outcome.orders} orders, {oversold}; {outcome.trace_hash[:12]}"
