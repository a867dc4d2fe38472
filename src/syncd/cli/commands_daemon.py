"""`syncd run|check|demo|backup`: the daemon itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import click

from syncd.cli.refusal import EX_CONFIG, FAILED, OK
from syncd.cli.screen import Rows
from syncd.cli.session import Session
from syncd.cli.starting import Here, connected, plain
from syncd.config import Config


@click.command()
@plain
def run(here: Here) -> None:
    """Run the daemon in the foreground until it is told to stop."""
    code = here.doors.run(here.config_path)
    if here.screen.as_json:
        here.screen.answer({"exit_code": code})
    click.get_current_context().exit(code)


@click.command()
@click.option("--settings-only", is_flag=True, help="Read the settings files only; call no shop.")
@plain
def check(here: Here, settings_only: bool) -> None:
    """Check the settings files, and sign in to each shop without changing anything."""
    config = here.config()
    results = _wrong_files(config)
    code = EX_CONFIG if results else OK
    if not settings_only:
        results += [result for result in _called(here, config) if result not in results]
        code = code or (OK if all(result["ok"] for result in results) else FAILED)
    document = {"config": str(config.file), "ok": code == OK, "shops": results}
    shown = Rows(results, ("shop", "ok", "text"), empty="no shop was checked")
    here.screen.answer(document, f"{config.file}: read", shown)
    click.get_current_context().exit(code)


def _wrong_files(config: Config) -> list[dict[str, Any]]:
    return [{"shop": problem.shop, "ok": False, "text": str(problem)} for problem in config.problems]


def _called(here: Here, config: Config) -> Sequence[dict[str, Any]]:
    with here.screen.progress("calling the shops"):
        return anyio.run(here.doors.check_shops, config)


@click.command()
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="Stop after so many seconds.")
@click.option("--seed", type=int, default=1, show_default=True, help="Another seed makes other buyers.")
@click.option("--svg", type=click.Path(dir_okay=False, path_type=Path), help="Save a picture of the live table.")
@plain
def demo(here: Here, seconds: float | None, seed: int, svg: Path | None) -> None:
    """Run the daemon against simulated shops with buyers; needs no settings and touches nothing."""
    code = here.doors.demo(seconds=seconds, seed=seed, svg=svg, as_json=here.screen.as_json)
    click.get_current_context().exit(code)


@click.command()
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
@connected
async def backup(here: Here, session: Session, path: Path) -> None:
    """Copy the store to PATH while it is in use; the copy is checked before it gets its name."""
    target = str(_absolute(path))
    with here.screen.progress("copying"):
        answer = await session.post("/backup", {"path": target})
    here.screen.answer(answer, f"backup written to {target}")


def _absolute(path: Path) -> Path:
    """The daemon has another working folder."""
    return path.absolute()
