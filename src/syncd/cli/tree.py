"""The tree of commands."""

from __future__ import annotations

import click

from syncd import __version__
from syncd.cli import commands_stock_files  # noqa: F401  # adds its commands to `stock`
from syncd.cli.commands_config import config
from syncd.cli.commands_daemon import backup, check, demo, run
from syncd.cli.commands_holds import holds
from syncd.cli.commands_listings import listings
from syncd.cli.commands_look import alarms, log, plugins, status, why
from syncd.cli.commands_new_channel import new_channel
from syncd.cli.commands_orders import orders
from syncd.cli.commands_policy import policy
from syncd.cli.commands_returns import returns
from syncd.cli.commands_rules import rules
from syncd.cli.commands_shipments import shipments
from syncd.cli.commands_shops import approve, shops, sync
from syncd.cli.commands_sim import sim
from syncd.cli.commands_skus import skus
from syncd.cli.commands_stock import stock

COMMANDS = (
    run, check, config, status, shops, plugins, skus, stock, rules, policy, listings, orders, shipments, returns,
    holds, log, alarms, why, sync, approve, demo, sim, backup, new_channel,
)  # fmt: skip


class InOrder(click.Group):
    """Lists its commands in the order they were added, as a person meets them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=InOrder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="syncd")
def main() -> None:
    """Keep the stock of all shops in step.

    Commands talk to the running daemon, or open the store themselves when none runs. Every command takes --json
    and --config. Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 78 wrong settings.
    """


for command in COMMANDS:
    main.add_command(command)
