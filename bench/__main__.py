"""`python -m bench [NAME …]`: run all benchmarks or the named ones; exit code 1 when a goal is missed.

`python -m bench oversell [--quick]` and `python -m bench channels [--quick]` are long and run by name only.
"""

from __future__ import annotations

import sys
from importlib import import_module

import structlog
from rich.console import Console

from bench.report import Result, keep, show

USUAL = ("backlog", "growth", "full_sync", "rate", "simulation", "stockout")
BY_NAME = ("channels", "oversell")
QUICK = "--quick"


def main(asked: list[str]) -> int:
    names = [name for name in asked if name != QUICK]
    unknown = [name for name in names if name not in USUAL + BY_NAME]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are: {', '.join(USUAL + BY_NAME)}", file=sys.stderr)
        return 2
    if QUICK in asked and (not names or not set(names) <= set(BY_NAME)):
        print(f"{QUICK} goes with {', '.join(BY_NAME)}", file=sys.stderr)
        return 2
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))  # errors only
    console = Console(width=140)
    met = True
    for name in names or USUAL:
        console.print(f"running {name} …")
        module = import_module(f"bench.{name}")
        result: Result = module.run(quick=QUICK in asked) if name in BY_NAME else module.run()
        show(result, console)
        keep(result)
        met &= result.met
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
