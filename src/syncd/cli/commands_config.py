"""`syncd config`: what is set, what could be set."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import click

from syncd.cli.starting import Here, plain
from syncd.config import Config, sample, schema, shop_schema
from syncd.config.samples import toml
from syncd.telemetry import redact

SECRET = re.compile(r"token|secret|passw|key|credential", re.IGNORECASE)
REFERENCE = {"credential", "file", "env"}


@click.group()
def config() -> None:
    """Settings: show what is set, print a sample or the JSON schema."""


@config.command("show")
@plain
def show(here: Here) -> None:
    """Show every setting in force, defaults included; secrets as their references only."""
    found = here.config()
    document = {
        "file": str(found.file),
        "settings": found.settings.model_dump(mode="json"),
        "shops": {
            shop.name: {
                "file": str(shop.file),
                **shop.shop.model_dump(mode="json"),
                shop.shop.channel: _masked(shop.channel_table),
            }
            for shop in found.shops
        },
        "problems": [str(problem) for problem in found.problems],
    }
    here.screen.answer(document, redact("\n".join(_lines(found, document))))
    for problem in found.problems:
        if not here.screen.as_json:
            here.screen.warn(str(problem))


def _masked(table: Mapping[str, Any]) -> dict[str, Any]:
    """A channel's table, where somebody may have pasted a secret instead of its reference."""
    shown: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            shown[key] = dict(value) if set(value) <= REFERENCE else _masked(value)
        else:
            shown[key] = "***" if isinstance(value, str) and SECRET.search(key) else value
    return shown


def _lines(found: Config, document: Mapping[str, Any]) -> Iterator[str]:
    yield f"# {found.file}"
    yield from _table(document["settings"])
    for name, shop in document["shops"].items():
        yield f"\n# shop {name}: {shop['file']}"
        yield from _table({key: value for key, value in shop.items() if key not in ("file", "name")})


def _table(values: Mapping[str, Any]) -> Iterator[str]:
    tables = {key: value for key, value in values.items() if isinstance(value, Mapping) and not set(value) <= REFERENCE}
    for key, value in values.items():
        if key not in tables:
            yield f"{key} = {toml(value)}" if value is not None else f"# {key} is not set"
    for key, table in tables.items():
        yield f"\n[{key}]"
        yield from _table(table)


@config.command("sample")
@plain
def sample_(here: Here) -> None:
    """Print a commented syncd.toml with every setting and its default."""
    here.screen.answer({"syncd.toml": sample()}, sample())


@config.command("schema")
@plain
def schema_(here: Here) -> None:
    """Print the JSON schemas of syncd.toml and of a shop's file."""
    document = {"syncd.toml": schema(), "shop": shop_schema()}
    here.screen.answer(document, json.dumps(document, ensure_ascii=False, indent=2))
