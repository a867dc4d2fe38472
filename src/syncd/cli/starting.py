"""What every command shares: --config and --json, the session, and how an error becomes an exit code."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import click

from syncd.cli.doors import Doors
from syncd.cli.refusal import EX_CONFIG, Refused
from syncd.cli.screen import Screen
from syncd.cli.session import Session
from syncd.config import Config, ConfigError, load

CONFIG = Path("/etc/syncd/syncd.toml")


@dataclass(frozen=True, slots=True)
class Here:
    """One run of one command: where the settings are, where the answer goes, what stands behind it."""

    config_path: Path
    screen: Screen
    doors: Doors

    def config(self) -> Config:
        """The settings. Raises ConfigError."""
        return load(self.config_path)


class Usual(click.Group):
    """A group whose usual command needs no name: `syncd orders --short` is `syncd orders list --short`."""

    def __init__(self, *args: Any, usual: str, **attrs: Any) -> None:
        super().__init__(*args, epilog=f"Without a command: {usual}.", **attrs)
        self.usual = usual

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = [self.usual, *args]
        return super().parse_args(ctx, args)


def plain(function: Callable[..., None]) -> Callable[..., None]:
    """A command that needs no API: called with `Here` and what its options declare."""

    @functools.wraps(function)
    @click.pass_context
    def started(ctx: click.Context, /, config_path: Path, as_json: bool, **given: Any) -> None:
        here = Here(config_path, Screen(as_json), ctx.obj or Doors())
        try:
            function(here, **given)
        except ConfigError as error:
            told = Refused(str(error), code=EX_CONFIG)
            here.screen.refused(told)
            ctx.exit(told.code)
        except Refused as error:
            here.screen.refused(error)
            ctx.exit(error.code)

    return _with_options(started)


def connected(function: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """A command that talks to the admin API: called with `Here`, a `Session` and what its options declare."""

    @functools.wraps(function)
    def started(here: Here, **given: Any) -> None:
        config = here.config()

        async def talk() -> Refused | None:
            session = Session(config, here.doors)
            try:
                await function(here, session, **given)
            except Refused as error:  # handed out after the close: the app's task groups would wrap it
                return error
            finally:
                await session.aclose()
            return None

        error = anyio.run(talk)
        if error is not None:
            raise error

    return plain(started)


def _with_options(command: Callable[..., None]) -> Callable[..., None]:
    config = click.option(
        "--config",
        "config_path",
        type=click.Path(dir_okay=False, path_type=Path),
        default=CONFIG,
        envvar="SYNCD_CONFIG",
        show_default=True,
        help="The settings file; also $SYNCD_CONFIG.",
    )
    return config(click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command))
