"""What a benchmark found: goals met or missed, tables, and where it was measured. Printed, and kept."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from syncd.clock import SystemClock

RESULTS = Path(__file__).parent / "results"


@dataclass(slots=True)
class Goal:
    """One line of what is promised, what was measured, and whether it holds."""

    text: str
    measured: str
    met: bool


@dataclass(slots=True)
class Grid:
    """A table of numbers, already as texts."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def add(self, *cells: object) -> None:
        self.rows.append(tuple(map(str, cells)))


@dataclass(slots=True)
class Result:
    """One benchmark's outcome. `numbers` are the bare values, for machines."""

    name: str
    title: str
    goals: list[Goal] = field(default_factory=list)
    grids: list[Grid] = field(default_factory=list)
    numbers: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def goal(self, text: str, measured: str, *, met: bool) -> None:
        self.goals.append(Goal(text, measured, met))

    @property
    def met(self) -> bool:
        return all(goal.met for goal in self.goals)


def share(values: Sequence[float], quantile: float) -> float:
    """The smallest value that so large a share of the values does not exceed; 0 of none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-quantile * len(ordered) // 1) - 1))]


def machine() -> dict[str, str]:
    """The kind of machine, without its name."""
    return {
        "cores": str(os.cpu_count()),
        "cpu": platform.machine(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }


def show(result: Result, console: Console) -> None:
    """Print goals and tables."""
    goals = Table(title=f"{result.name}: {result.title}", title_justify="left")
    for column in ("goal", "measured", ""):
        goals.add_column(column)
    for goal in result.goals:
        goals.add_row(goal.text, goal.measured, "[green]met[/]" if goal.met else "[red]MISSED[/]")
    console.print(goals)
    for grid in result.grids:
        table = Table(title=grid.title, title_justify="left")
        for i, column in enumerate(grid.columns):
            table.add_column(column, justify="left" if i == 0 else "right")
        for row in grid.rows:
            table.add_row(*row)
        console.print(table)
    for note in result.notes:
        console.print(note)


def keep(result: Result) -> None:
    """Write the result beside the others."""
    RESULTS.mkdir(exist_ok=True)
    today = SystemClock().now().date().isoformat()
    values = {"date": today, "machine": machine(), **asdict(result)}
    text = json.dumps(values, ensure_ascii=False, indent=1)
    (RESULTS / f"{result.name}.json").write_text(text + "\n", encoding="utf-8")
    (RESULTS / f"{result.name}.md").write_text(_markdown(result, today), encoding="utf-8")


def _markdown(result: Result, today: str) -> str:
    where = ", ".join(f"{key} {value}" for key, value in machine().items())
    lines = [f"# {result.name}", "", f"{result.title}", "", f"{today}; {where}", ""]
    lines += table(
        ("goal", "measured", "met"), [(g.text, g.measured, "yes" if g.met else "**no**") for g in result.goals]
    )
    for grid in result.grids:
        lines += ["", f"## {grid.title}", "", *table(grid.columns, grid.rows)]
    if result.notes:
        lines += ["", *(f"- {note}" for note in result.notes)]
    return "\n".join(lines) + "\n"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(columns)} |",
        f"|{'---|' * len(columns)}",
        *(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows),
    ]
