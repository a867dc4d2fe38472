"""`syncd sim`: the simulated world that tries to break the promises."""

from __future__ import annotations

import click

from syncd.cli.starting import Here, plain


@click.command()
@click.option(
    "--layer", type=click.Choice(["core", "whole", "both"]), default="both", show_default=True,
    help="The pure decisions over rows in memory, the whole daemon over emulators, or both.",
)  # fmt: skip
@click.option("--seed", type=int, help="The seed, or the first of several.")
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True, help="How many seeds from there.")
@click.option(
    "--hours", type=click.FloatRange(min=0, min_open=True), default=0.5, show_default=True,
    help="How long each seed trades, in virtual time.",
)  # fmt: skip
@plain
def sim(here: Here, layer: str, seed: int | None, seeds: int, hours: float) -> None:
    """Play seeded worlds of shoppers, staff and faults against the daemon; exit 1 on the first broken promise.

    Needs no settings and touches nothing. The same seed gives the same trace.
    """
    code = here.doors.sim(layer=layer, seed=seed, seeds=seeds, hours=hours, as_json=here.screen.as_json)
    click.get_current_context().exit(code)
