"""`python -m bench [NAME …]`: run all benchmarks or the named ones; exit code 1 when a goal is missed."""

from __future__ import annotations

import sys
from importlib import import_module

import structlog
from rich.console import Console

from bench.report import Result, keep, show

NAMES = ("backlog", "growth", "full_sync", "rate", "stockout")


def main(asked: list[str]) -> int:
    unknown = [name for name in asked if name not in NAMES]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))  # errors only
    console = Console(width=140)
    met = True
    for name in asked or NAMES:
        console.print(f"running {name} …")
        result: Result = import_module(f"bench.{name}").run()
        show(result, console)
        keep(result)
        met &= result.met
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
