"""A change of many numbers is shown first, then asked for, then made: nothing happens unseen, nothing by half."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from syncd.cli.refusal import FAILED, Refused
from syncd.cli.screen import Part, Rows
from syncd.cli.session import Session
from syncd.cli.starting import Here

SHOWN = 50
PROPOSED = ("listing", "name", "shop_sku", "jan", "shows", "state", "match", "sku", "pack", "candidates", "problem")
YES = "Apply without asking."
PREVIEW = "Only show what would change."


def with_preview(command: Callable[..., Any]) -> Callable[..., Any]:
    """--preview and --yes."""
    yes = click.option("--yes", is_flag=True, help=YES)
    return yes(click.option("--preview", is_flag=True, help=PREVIEW)(command))


async def settle(
    here: Here,
    session: Session,
    path: str,
    body: dict[str, Any],
    *,
    columns: Sequence[str] = (),
    preview: bool,
    yes: bool,
) -> None:
    """Let the API preview a change, show it, ask, and make it. Answers with the API's last document."""
    if not yes or preview:
        document = await session.post(path, {**body, "preview": True})
        if not await agreed(here, session, document, columns, preview=preview):
            return
    with here.screen.progress("applying"):
        document = await session.post(path, {**body, "preview": False})
    here.screen.answer(document, *done(document))


async def agreed(
    here: Here, session: Session, document: dict[str, Any], columns: Sequence[str], *, preview: bool
) -> bool:
    """Show a preview and ask for a yes. False: it was only to be shown. Raises Refused where nobody can be asked.

    The session is closed while a person thinks, so that a store opened here is free for a daemon.
    """
    changes = document.get("changes", [])
    document = {**document, "applied": False}
    if preview or not changes:
        here.screen.answer(document, *_shown(document, columns))
        return False
    asked = not here.screen.as_json and sys.stdin.isatty()
    if not asked:
        raise Unasked(document, here, columns)
    for part in _shown(document, columns):
        here.screen.say(part)
    await session.aclose()
    if not click.confirm(f"Apply {counted(changes)}?"):
        raise Refused("nothing was changed")
    return True


class Unasked(Refused):
    """A change that needs a yes, where nobody can be asked."""

    def __init__(self, document: dict[str, Any], here: Here, columns: Sequence[str]) -> None:
        for part in _shown(document, columns):
            here.screen.say(part)
        self._document = document
        super().__init__("nothing was changed; add --yes to apply it", code=FAILED)

    def document(self) -> dict[str, Any]:
        return {**self._document, "error": str(self)}


def counted(changes: Sequence[Any]) -> str:
    """`1 change`, `12 changes`."""
    return f"{len(changes)} change{'' if len(changes) == 1 else 's'}"


def done(document: Mapping[str, Any], verb: str = "applied") -> list[Part]:
    """What was applied, and what was left out and why."""
    return [f"{verb}: {counted(document.get('changes', []))}", *beside(document)]


def _shown(document: Mapping[str, Any], columns: Sequence[str]) -> list[Part]:
    changes = document.get("changes", [])
    parts: list[Part] = []
    if proposals := document.get("proposals"):
        parts.append(Rows(proposals, PROPOSED, title="what the shop lists, and the SKU it seems to be"))
    parts.append(Rows(changes[:SHOWN], columns, empty="nothing to change"))
    if len(changes) > SHOWN:
        parts.append(f"… and {len(changes) - SHOWN} more; all with --json")
    return parts + beside(document)


def beside(document: Mapping[str, Any]) -> list[Part]:
    """What was left out, what else is to be known, and what the brake holds."""
    skipped = document.get("skipped") or []
    table: list[Part] = [Rows(skipped, title=f"left out: {len(skipped)}")] if skipped else []
    held = [f"held by the brake: {shop}; look, then: syncd approve {shop}" for shop in document.get("braked") or []]
    return [*table, *(document.get("notes") or []), *held]
