"""The sample of `syncd.toml`, the settings page and the JSON schemas, all made from the models."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from syncd.config.settings import Settings
from syncd.sdk.settings import ShopSettings, extra_of

WIDTH = 100

HEAD = """\
# Settings of syncd. Every setting stands here with its default; take the # away to change one.
# Shops have files of their own in shops_dir: shops.d/<shop>.toml.
# A secret never stands in a file: { credential = "name" }, { file = "path" } (mode 0600) or { env = "NAME" }.
"""

PAGE_HEAD = """\
# Settings

Made from the code by `make etc`; do not edit by hand. A secret never stands in a settings file: it is named as
`{ credential = "name" }` (systemd), `{ file = "path" }` (mode 0600) or `{ env = "NAME" }`.
"""


def sample() -> str:
    """A commented `syncd.toml` with every setting, its description and its default. Valid as it is."""
    blocks = [HEAD, *(_entry(key, field) for key, field in _values(Settings))]
    for key, model in _tables(Settings):
        blocks.append(f"{_comment(_first_line(model))}[{key}]\n" + "\n".join(_entry(k, f) for k, f in _values(model)))
    return "\n".join(blocks)


def settings_page() -> str:
    """The page of all settings in Markdown: `syncd.toml` table by table, then what a shop file holds."""
    parts = [PAGE_HEAD, "## `syncd.toml`\n", _markdown(_values(Settings))]
    for key, model in _tables(Settings):
        parts += [f"### `[{key}]`\n", f"{_first_line(model)}\n", _markdown(_values(model))]
    shop = [(key, field) for key, field in _values(ShopSettings) if key != "name"]
    parts += ["## `shops.d/<shop>.toml`\n", SHOP_HEAD, _markdown(iter(shop))]
    return "\n".join(parts)


SHOP_HEAD = """\
The shop's name is the file's name without `.toml`: a-z, 0-9 and `-`. These keys stand at the top of the file; below
them comes the channel's own table, e.g. `[rakuten]`, described in the plugin's README and `sample.toml`.
"""


def schema() -> Mapping[str, Any]:
    """JSON schema of `syncd.toml`."""
    return extra_of(Settings)


def shop_schema() -> Mapping[str, Any]:
    """JSON schema of a shop file. The channel's own table is described by the plugin's settings."""
    made = dict(extra_of(ShopSettings))
    made["properties"] = {key: value for key, value in made["properties"].items() if key != "name"}
    made["required"] = [key for key in made.get("required", ()) if key != "name"]
    made["additionalProperties"] = {"type": "object"}
    return made


def _values(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    tables = dict(_tables(model))
    return ((key, field) for key, field in model.model_fields.items() if key not in tables)


def _tables(model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    for key, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield key, field.annotation


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]


def _comment(text: str) -> str:
    return "".join(f"# {line}\n" for line in textwrap.wrap(text, WIDTH - 2))


def _entry(key: str, field: FieldInfo) -> str:
    return f"{_comment(field.description or '')}#{key} = {toml(_shown(field))}\n"


def _shown(field: FieldInfo) -> Any:
    default = field.get_default(call_default_factory=False)
    return field.examples[0] if default is None and field.examples else default


def _markdown(fields: Iterator[tuple[str, FieldInfo]]) -> str:
    rows = ["| key | default | what it does |", "|---|---|---|"]
    for key, field in fields:
        told = (field.description or "").replace("|", "\\|")
        rows.append(f"| `{key}` | {_default_text(field)} | {told} |")
    return "\n".join(rows) + "\n"


def _default_text(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=False)
    return "not set" if default is None else f"`{toml(default)}`"


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Enum):
        return toml(value.value)
    if isinstance(value, str | Path):
        return json.dumps(str(value), ensure_ascii=False)  # every JSON string is a TOML basic string
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return repr(value)
