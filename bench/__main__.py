"""`python -m bench [NAME …]`: run all benchmarks or the named ones; exit code 1 when a goal is missed.

`python -m bench oversell [--quick]` and `python -m bench channels [--quick] [CHANNEL …]` are long and run by name only.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import structlog
from rich.console import Console

from bench.channels.limits import ALLOWED
from bench.report import Result, keep, show

USUAL = ("backlog", "growth", "full_sync", "rate", "simulation", "stockout")
BY_NAME = ("channels", "oversell")
QUICK = "--quick"


def main(asked: list[str]) -> int:
    names = [name for name in asked if name != QUICK]
    if names[:1] == ["channels"]:
        return _channels(names[1:], quick=QUICK in asked)
    unknown = [name for name in names if name not in USUAL + BY_NAME]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are: {', '.join(USUAL + BY_NAME)}", file=sys.stderr)
        return 2
    if QUICK in asked and (not names or not set(names) <= set(BY_NAME)):
        print(f"{QUICK} goes with {', '.join(BY_NAME)}", file=sys.stderr)
        return 2
    quick = {"quick": QUICK in asked}
    results = [_measured(name, **quick if name in BY_NAME else {}) for name in names or USUAL]
    return 0 if all(result.met for result in results) else 1


def _channels(only: list[str], *, quick: bool) -> int:
    """All channels, or the named ones."""
    unknown = set(only) - ALLOWED.keys()
    if unknown:
        print(f"no channel {', '.join(unknown)}; there are: {', '.join(ALLOWED)}", file=sys.stderr)
        return 2
    return 0 if _measured("channels", quick=quick, only=only).met else 1


def _measured(name: str, **how: Any) -> Result:
    """Run one benchmark, show and keep what it found."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))  # errors only
    console = Console(width=140)
    console.print(f"running {name} …")
    result: Result = import_module(f"bench.{name}").run(**how)
    show(result, console)
    keep(result)
    return result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
