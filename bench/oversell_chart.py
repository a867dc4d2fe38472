"""The chart of the oversell benchmark: bars on a logarithmic scale, as SVG written by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, LEFT, RIGHT, ROW, GAP, TOP = 860, 190, 90, 19, 34, 64
UNDER = "the same buyers under each way of working; logarithmic scale; green is syncd"
LOWEST, HIGHEST = 0.1, 10_000.0
OURS, OTHERS, INK, LINE = "#1f7a5c", "#b9bec6", "#22262b", "#e3e6ea"


def draw(panels: Mapping[str, Sequence[tuple[str, float, bool]]]) -> str:
    """One panel a scenario, one bar a way of working (name, oversold per 10,000, ours)."""
    height = TOP + sum(GAP + ROW * len(bars) for bars in panels.values()) + 16
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif"'
        f' font-size="12" fill="{INK}">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        '<text x="16" y="26" font-size="16" font-weight="600">Oversold units per 10,000 orders</text>',
        f'<text x="16" y="44" fill="#666c75">{UNDER}</text>',
    ]
    y = TOP
    for title, bars in panels.items():
        parts += _panel(title, bars, y)
        y += GAP + ROW * len(bars)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(title: str, bars: Sequence[tuple[str, float, bool]], y: int) -> list[str]:
    parts = [f'<text x="16" y="{y + 14}" font-weight="600">{escape(title)}</text>']
    bottom = y + 22 + ROW * len(bars)
    for power in range(-1, 5):
        x = _x(10.0**power)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y + 20}" y2="{bottom}" stroke="{LINE}"/>')
        parts.append(
            f'<text x="{x:.1f}" y="{y + 14}" text-anchor="middle" fill="#9aa0a8" font-size="10">{10.0**power:g}</text>'
        )
    for i, (name, value, ours) in enumerate(bars):
        top = y + 22 + ROW * i
        parts.append(f'<text x="{LEFT - 8}" y="{top + 13}" text-anchor="end">{escape(name)}</text>')
        end = _x(value)
        if end > LEFT:
            box = f'x="{LEFT}" y="{top + 2}" width="{end - LEFT:.1f}" height="{ROW - 5}"'
            parts.append(f'<rect {box} fill="{OURS if ours else OTHERS}"/>')
        parts.append(f'<text x="{max(end, LEFT) + 5:.1f}" y="{top + 13}">{_number(value)}</text>')
    return parts


def _x(value: float) -> float:
    """Where a value ends; below the lowest power there is no bar."""
    if value <= LOWEST:
        return float(LEFT)
    share = math.log10(min(value, HIGHEST) / LOWEST) / math.log10(HIGHEST / LOWEST)
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _number(value: float) -> str:
    return "0" if value == 0 else f"{value:,.0f}" if value >= 100 else f"{value:.2g}" if value < 1 else f"{value:.1f}"
