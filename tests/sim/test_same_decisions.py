"""Both layers of the simulation decide the same, event by event, of one script without faults."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache

import pytest

from syncd.core.policy import Kind, Policy
from syncd.sim.same import differences, differences_of, views_of
from syncd.sim.script import STANDS, Act, Script, View, script_of

SEEDS = range(1, 21)
ROUNDS = 2


@cache
def played(seed: int) -> tuple[list[View], list[View]]:
    return views_of(script_of(seed, ROUNDS))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_layers_decide_the_same(seed: int) -> None:
    assert differences_of(script_of(seed, ROUNDS), *played(seed)) == []


@pytest.mark.long
@pytest.mark.parametrize("seed", SEEDS)
def test_the_layers_decide_the_same_twice_as_long(seed: int) -> None:
    assert differences(seed) == []


def test_the_scripts_have_every_event_policy_mode_and_write_form() -> None:
    acts = Counter(event.act for seed in SEEDS for event in script_of(seed, ROUNDS).events)
    assert min(acts[act] for act in Act) >= 20
    views = [view for seed in SEEDS for view in played(seed)[1]]
    modes = {mode.split(" ")[0] for view in views for mode in view.modes.values()}
    assert modes == {"mirror", "reserve", "escrow"}
    automatic = [i for i, ware in enumerate(script_of(1).wares) if ware.policy == Policy(Kind.AUTO)]
    assert {view.modes[i].split(" ")[0] for view in views for i in automatic} == {"mirror", "reserve", "escrow"}
    forms = {(key[0], one.form) for view in views[1:] for key, writes in view.writes.items() for one in writes}
    assert {(i, form) for i, stand in enumerate(STANDS) for form in stand.forms} <= forms


def test_another_policy_in_one_layer_is_found() -> None:
    """Otherwise the tests above would show nothing."""
    script = script_of(1, ROUNDS)
    core, whole = played(1)
    wrong = [replace(ware, policy=Policy(Kind.MIRROR, 3)) if ware.code == "mirror" else ware for ware in script.wares]
    other, _ = views_of(Script(script.seed, wrong, script.events[:3]))
    found = differences_of(script, other, whole[: len(other)])
    assert any("mirror shows" in text for text in found)
    assert differences_of(script, core[: len(other)], whole[: len(other)]) == []
