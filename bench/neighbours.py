"""What other programs took: how long this process could have run, had a processor been free."""

from __future__ import annotations

import os
from pathlib import Path

TASKS = Path("/proc/self/task")


def starved_seconds() -> float:
    """How long the threads of this process have waited for a processor so far; 0 where the system does not tell."""
    total = 0
    try:
        for task in TASKS.iterdir():
            total += int((task / "schedstat").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return total / 1e9


def load() -> str:
    """How many programs wanted a processor in the last minute, beside how many there are."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
