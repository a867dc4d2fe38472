"""`syncd new-channel`: where the next mall begins."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

import click

from syncd.cli.refusal import Refused
from syncd.cli.starting import Here, plain


@click.command("new-channel")
@click.argument("slug")
@click.option(
    "--into", type=click.Path(path_type=Path), default=Path(), show_default="this folder",
    help="The folder to write into; `plugins` of a checkout of syncd for a plugin that comes with it.",
)  # fmt: skip
@click.option("--title", default="", help="The name that people read, e.g. 'au PAY'; made of SLUG if not given.")
@plain
def new_channel(here: Here, slug: str, into: Path, title: str) -> None:
    """Write the folder of a plugin for the channel SLUG, whose tests run at once.

    It has a channel, an emulator, settings, wire cases, the contract and a quality file that says what is to do. Needs
    no settings; writes all of the folder or nothing.
    """
    installed = {point.name for point in entry_points(group="syncd.plugins")}
    try:
        written = here.doors.new_channel(slug, into, title=title, taken=installed)
    except ValueError as error:
        raise Refused(str(error)) from None
    document = {"folder": str(written.folder), "files": list(written.files), "next_steps": list(written.next_steps)}
    steps = [f"  {number}. {step}" for number, step in enumerate(written.next_steps, 1)]
    here.screen.answer(document, "\n".join([f"{written.folder}: {len(written.files)} files", "next:", *steps]))
