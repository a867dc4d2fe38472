"""The live table of the demo: one line a shop, the totals, and how to look further.

`Screen.draw` only makes what is shown; `Quiet` tells the same progress in a few lines for runs without a terminal.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from syncd.sim.served import ShopView, View, quantile

PICTURE_WIDTH = 116
GOOD_STATES = ("running",)
Status = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Frame:
    """All that one picture shows. `status` is the daemon's own `GET /api/v1/status`, empty before it answers."""

    view: View
    status: Status = field(default_factory=dict)
    phase: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Scene:
    """What stays the same over a run."""

    batch_seconds: float
    poll_seconds: float
    metrics: str
    config: Path
    kept: Sequence[str] = ()
    shortened: Sequence[str] = ()

    def pace(self) -> str:
        """The two times that everything else follows from."""
        return f"batch every {self.batch_seconds:g} s (180 s in production), shops polled every {self.poll_seconds:g} s"


def seconds_text(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds:.1f} s"


def draw(scene: Scene, frame: Frame) -> RenderableType:
    """The whole picture."""
    return Panel(
        Group(_head(scene, frame), _table(frame), _totals(frame), _foot(scene)),
        title="[bold]syncd demo[/] · simulated shops on real sockets, the real daemon",
        border_style="cyan",
        padding=(0, 1),
    )


def _head(scene: Scene, frame: Frame) -> Text:
    text = Text.assemble((f"{frame.phase}", "bold"), f" · {frame.seconds:.0f} s")
    if frame.view.flash:
        text.append(" · FLASH SALE", style="bold magenta")
    text.append(f"\n{scene.pace()}\n")
    return text


def _table(frame: Frame) -> Table:
    table = Table(expand=True, box=None, header_style="bold", pad_edge=False)
    for title in ("shop", "kind", "state"):
        table.add_column(title, no_wrap=True)
    for title in ("orders in", "pushes out", "waiting", "stockouts", "p50", "p99", "wrong now"):
        table.add_column(title, justify="right")
    states = {one["name"]: one for one in frame.status.get("shops", ())}
    for shop in frame.view.shops:
        table.add_row(*_row(shop, states.get(shop.name, {})))
    return table


def _row(shop: ShopView, told: Status) -> Sequence[RenderableType]:
    state = str(told.get("status", "starting"))
    waiting = sum(told.get("outbox", {}).values())
    return (
        shop.name,
        shop.kind,
        Text(state, style="green" if state in GOOD_STATES else "yellow"),
        f"{shop.taken_in}/{shop.orders}",
        str(shop.writes),
        str(waiting),
        str(len(shop.stockouts)),
        seconds_text(quantile(shop.stockouts, 0.5)),
        seconds_text(quantile(shop.stockouts, 0.99)),
        Text(str(shop.wrong), style="yellow" if shop.wrong else "green"),
    )


def _totals(frame: Frame) -> Text:
    view = frame.view
    booked = frame.status.get("orders_booked", 0)
    alarms = frame.status.get("open_alarms", 0)
    text = Text("\n")
    text.append(f"orders placed {view.orders} · booked {booked} · ")
    text.append("stockout latency ", style="bold")
    text.append(
        f"p50 {seconds_text(quantile(view.stockouts, 0.5))}  p99 {seconds_text(quantile(view.stockouts, 0.99))}"
    )
    text.append(f" of {len(view.stockouts)} · ")
    text.append(f"oversold {view.oversold} pieces", style="yellow" if view.oversold else "")
    text.append(" · ")
    text.append(f"stale raises {view.stale_raises}", style="bold red" if view.stale_raises else "green")
    text.append(f" · open alarms {alarms}")
    return text


def _foot(scene: Scene) -> Text:
    text = Text(
        "\nstockout latency: from the order visible at its shop (poll included) to acceptance by each other shop\n",
        style="dim",
    )
    if scene.kept:
        text.append(f"the malls hold to their documented limits: {' · '.join(scene.kept)}\n", style="dim")
    if scene.shortened:
        text.append(f"shortened, to be watched: {' · '.join(scene.shortened)}\n", style="dim")
    text.append(f"curl {scene.metrics}\n", style="default")
    text.append(f".venv/bin/syncd status --config {scene.config}\n", style="default")
    text.append("Ctrl-C closes the shops, waits until all is still, and judges", style="dim")
    return text


class Screen:
    """A live table on a terminal."""

    def __init__(self, scene: Scene, console: Console) -> None:
        self.scene = scene
        self._live = Live(console=console, auto_refresh=False, transient=False)

    def __enter__(self) -> Screen:
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def show(self, frame: Frame) -> None:
        self._live.update(draw(self.scene, frame), refresh=True)


class Quiet:
    """A line on a stream whenever the phase changes, and every ten seconds."""

    def __init__(self, scene: Scene, out: TextIO) -> None:
        self.scene = scene
        self._out = out
        self._phase = ""
        self._told_at = 0.0

    def __enter__(self) -> Quiet:
        scene = self.scene
        self._say(scene.pace())
        for what, texts in (("documented limits hold", scene.kept), ("shortened, to be watched", scene.shortened)):
            if texts:
                self._say(f"{what}: {' · '.join(texts)}")
        self._say(f"metrics at {scene.metrics}; settings at {scene.config}")
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def show(self, frame: Frame) -> None:
        if frame.phase == self._phase and frame.seconds - self._told_at < 10:
            return
        self._phase, self._told_at = frame.phase, frame.seconds
        view = frame.view
        self._say(
            f"{frame.seconds:4.0f} s  {frame.phase}: {view.taken_in} of {view.orders} orders in, "
            f"{sum(shop.writes for shop in view.shops)} pushes, {len(view.stockouts)} stockouts "
            f"p50 {seconds_text(quantile(view.stockouts, 0.5))}, oversold {view.oversold}"
        )

    def _say(self, text: str) -> None:
        self._out.write(f"syncd demo: {text}\n")
        self._out.flush()


def picture(scene: Scene, frame: Frame, path: Path) -> None:
    """Save the live table as SVG. It loads no font from anywhere."""
    console = Console(
        record=True, width=PICTURE_WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(draw(scene, frame))
    format_without_fonts = re.sub(r"@font-face \{\{.*?\}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    path.write_text(console.export_svg(title="make demo", code_format=format_without_fonts), encoding="utf-8")
