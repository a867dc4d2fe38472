"""The command `syncd`: every command is one request of the admin API and one answer on the screen.

`session` finds the running daemon, or opens the same API in this process when none runs; `screen` prints tables or,
with --json, one JSON document; `sheet` reads and writes the CSV files of people; `commands_*` are the commands.
"""

from syncd.cli.tree import main

__all__ = ["main"]
