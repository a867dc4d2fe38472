"""docs/cli.md holds every command with an example and its options, and no other command."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from syncd.cli import main

PAGE = (Path(__file__).parents[2] / "docs/cli.md").read_text(encoding="utf-8")
SECTIONS = {part.split("`")[1]: part for part in re.split(r"(?m)^### ", PAGE)[1:]}
EVERYWHERE = {"--config", "--json"}


def leaves(command: click.Command, path: str = "syncd") -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    for name, inner in command.commands.items():
        yield from leaves(inner, f"{path} {name}")


COMMANDS = dict(leaves(main))


def test_the_page_names_exactly_the_commands_that_exist() -> None:
    assert set(SECTIONS) == set(COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_has_an_example_and_all_its_options_on_the_page(name: str) -> None:
    section = SECTIONS[name].split("\n## ")[0]
    usual = name.rpartition(" ")[0]
    assert re.search(rf"(?m)^    ({name}|{usual})\b", section)
    options = {o for p in COMMANDS[name].params if isinstance(p, click.Option) for o in p.opts} - EVERYWHERE
    assert sorted(option for option in options if option not in section) == []


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_takes_config_and_json_and_says_what_it_does(name: str) -> None:
    command = COMMANDS[name]
    assert {o for p in command.params for o in p.opts} >= EVERYWHERE
    assert command.help


@pytest.mark.parametrize("line", [line.strip() for line in re.findall(r"(?m)^    (syncd .+)$", PAGE)])
def test_every_example_can_be_typed(line: str) -> None:
    args = shlex.split(line.split(" > ")[0])[1:]
    command: click.Command = main
    while isinstance(command, click.Group):
        named = bool(args) and args[0] in command.commands
        command = command.commands[args.pop(0) if named else command.usual]
    assert command.make_context("syncd", args).params
