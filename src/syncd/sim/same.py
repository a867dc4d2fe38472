"""One script in both layers: what they decide must be the same, event by event.

Compared after each event: how each SKU is kept, what each page shows, and every write that a shop took (its form and
the number after it). These differ by design and are taken out, each for its reason:

- Opening: the core layer begins with every number proven; the daemon knows nothing, and drains, reads and writes until
  it does. So of the time before the first event only modes and pages are compared.
- Steps in escrow: rights come back one by one as they are proven, and in how many writes they are given again is a
  matter of tenths of a second. Of the writes to one page after one event only the last is compared.
- Looks in escrow: the daemon's housekeeping looks at SKUs in escrow again and again, and shares by what the shops sold
  as it fades; the keeper looks when something of the SKU changed. Here it is made to look as often.
- Lags: both assume the same of a shop's delays, and no shop has the twenty orders from which on they are measured.
- Cancels at a shop that cannot be read: the daemon cannot tell whether units were put back before or after the last
  number it wrote, and writes the page anew; the keeper is told the moment. Such a shop puts nothing back here.
- Read-back finds: a script leaves each time to be booked before the next thing happens, so none is ever left over.
  Low stock is watched every 2 s in the core layer, and every 10 s in the daemon where it sells fast enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from syncd.core.policy import Mode
from syncd.sim.core.scripted import Scripted as Core
from syncd.sim.loop import run_virtual
from syncd.sim.script import STANDS, Event, Script, View, Written, script_of
from syncd.sim.trial import silenced
from syncd.sim.whole.scripted import Scripted as Whole


def views_of(script: Script) -> tuple[list[View], list[View]]:
    """What each event led to, in the core layer and in the whole layer."""
    core = list(Core(script).play())

    async def whole() -> list[View]:
        return [view async for view in Whole.play(script, core[0].pages)]

    with silenced():
        return core, run_virtual(whole, script.seed)


def differences(seed: int) -> list[str]:
    """Where the layers differ in the script of a seed, in words."""
    script = script_of(seed)
    return differences_of(script, *views_of(script))


def differences_of(script: Script, core: Sequence[View], whole: Sequence[View]) -> list[str]:
    """The first event that two plays of a script differ in ends it, for all that follows is of it."""
    for i, (one, other) in enumerate(zip(core, whole, strict=True)):
        found = [*_shown(script, one, other), *(_written(script, one, other) if i else ())]
        if found:
            event = script.events[i - 1] if i else None
            return [f"seed {script.seed}, event {i}, {_said(script, event)}: {text}" for text in found]
    return []


def _said(script: Script, event: Event | None) -> str:
    if event is None:
        return "before the first event"
    return f"{event.act} {event.number} of {script.wares[event.ware].code} at {STANDS[event.stand].name}"


def _shown(script: Script, core: View, whole: View) -> Iterator[str]:
    for ware, mode in core.modes.items():
        if mode != whole.modes[ware]:
            yield f"{script.wares[ware].code} is kept as {mode} in the core layer, {whole.modes[ware]} in the whole"
    for key, page in core.pages.items():
        if page != whole.pages[key]:
            yield f"{_name(script, key)} shows {page} in the core layer, {whole.pages[key]} in the whole"


def _written(script: Script, core: View, whole: View) -> Iterator[str]:
    for key in core.pages:
        one, other = _decided(core, key), _decided(whole, key)
        if one != other:
            yield f"{_name(script, key)} was written {_told(one)} in the core layer, {_told(other)} in the whole"


def _name(script: Script, key: tuple[int, int]) -> str:
    return f"{STANDS[key[0]].name} {script.wares[key[1]].code}"


def _decided(view: View, key: tuple[int, int]) -> list[Written]:
    """The writes of one page that are compared; see the top of this file."""
    writes = view.writes.get(key, [])
    return writes[-1:] if view.modes[key[1]].startswith(Mode.ESCROW) else writes


def _told(writes: Sequence[Written]) -> str:
    return ", ".join(f"{one.form} to {one.number}" for one in writes) or "nothing"
