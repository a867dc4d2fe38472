"""Reads `syncd.toml` and the shop files. Every mistake is named by file, line and key, with a suggestion.

A value is never part of a message: someone may have pasted a secret where a reference belongs.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from syncd.config.places import line_of, position_in
from syncd.config.settings import Settings, fields_at
from syncd.sdk.settings import ChannelSettings, ShopSettings
from syncd.telemetry import register_secret

S = TypeVar("S", bound=ChannelSettings)
M = TypeVar("M", bound=BaseModel)

EX_CONFIG = 78  # sysexits.h; the systemd unit does not restart on it
UNREAD_CHANNEL = "unread"
SHOP_FILE = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake in a settings file. `str()` is the whole message for an operator."""

    file: Path
    text: str
    line: int | None = None
    column: int | None = None
    key: str = ""

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        return f"{place}: {self.key}: {self.text}" if self.key else f"{place}: {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopProblem(Problem):
    """One mistake in a shop's file; it keeps that shop from running, and no other."""

    shop: str


class ConfigError(ValueError):
    """Settings that cannot be used. The text is every problem, one a line; the process exits with `exit_code`."""

    exit_code = EX_CONFIG

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(frozen=True, slots=True)
class ShopConfig:
    """One shop's file: what the core reads, and the channel's own table as it stands there."""

    shop: ShopSettings
    channel_table: Mapping[str, Any] = field(repr=False)
    file: Path
    text: str = field(repr=False, default="")
    problems: tuple[ShopProblem, ...] = ()
    """Why the file could not be read; then nothing else here but its name is true."""

    @property
    def name(self) -> str:
        return self.shop.name


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of one start, and what was wrong with single shops."""

    file: Path
    settings: Settings
    shops: tuple[ShopConfig, ...] = ()
    problems: tuple[ShopProblem, ...] = ()

    @property
    def unread(self) -> tuple[ShopConfig, ...]:
        """The shops whose files could not be read, so that each can be named, alarmed and tried again."""
        named = {one.shop: one.file for one in self.problems if SHOP_FILE.fullmatch(one.file.name)}
        return tuple(
            ShopConfig(
                ShopSettings(name=name, channel=UNREAD_CHANNEL), {}, file,
                problems=tuple(one for one in self.problems if one.shop == name),
            )
            for name, file in named.items()
        )  # fmt: skip

    @property
    def misnamed(self) -> tuple[ShopProblem, ...]:
        """Files in the shops' folder whose names can be no shop's."""
        return tuple(one for one in self.problems if not SHOP_FILE.fullmatch(one.file.name))


def load(path: Path) -> Config:
    """Read `syncd.toml` and its shop files. Raises ConfigError only for what concerns the whole daemon."""
    path = path.absolute()
    text, table = _read_toml(path)
    settings = _validated(Settings, table, path, text)
    settings = settings.model_copy(
        update={key: path.parent / getattr(settings, key) for key in ("state_dir", "shops_dir")}
    )
    shops, problems = [], []
    wanted = "shops_dir" in table or settings.shops_dir.exists()
    for file in _shop_files(path, settings, text) if wanted else ():
        try:
            shops.append(load_shop(file))
        except ConfigError as error:
            problems += [_of_shop(file.stem, problem) for problem in error.problems]
    return Config(path, settings, tuple(shops), tuple(problems))


def load_shop(file: Path) -> ShopConfig:
    """Read one shop's file. Raises ConfigError with everything that is wrong with it."""
    if not SHOP_FILE.fullmatch(file.name):
        raise ConfigError(
            [Problem(file=file, text="a shop file's name is the shop's: a-z, 0-9 and - only, then .toml")]
        )
    text, table = _read_toml(file)
    if "name" in table:
        told = "is the file's name and cannot be set; rename the file instead"
        raise ConfigError([Problem(file=file, line=line_of(text, ("name",)), key="name", text=told)])
    if "channel" not in table:  # without it, the channel's own table looks like one more unknown key
        table = {key: value for key, value in table.items() if not isinstance(value, dict)}
    channel = str(table.get("channel", ""))
    own = table.pop(channel, {}) if channel not in ShopSettings.model_fields else {}
    if not isinstance(own, dict):
        told = f"is the channel's own table: write [{channel}] and its settings below"
        raise ConfigError([Problem(file=file, line=line_of(text, (channel,)), key=channel, text=told)])
    shop = _validated(ShopSettings, {**table, "name": file.stem}, file, text, own_table=channel)
    return ShopConfig(shop, own, file, text)


def channel_settings(config: ShopConfig, settings_type: type[S]) -> S:
    """A shop's channel table as its plugin's settings, secrets read. Raises ConfigError of ShopProblems."""
    under = (config.shop.channel,)
    try:
        return _validated(settings_type, config.channel_table, config.file, config.text, under=under)
    except ConfigError as error:
        raise ConfigError(_of_shop(config.name, problem) for problem in error.problems) from None


def _of_shop(shop: str, problem: Problem) -> ShopProblem:
    return ShopProblem(
        shop=shop, file=problem.file, line=problem.line, column=problem.column, key=problem.key, text=problem.text
    )


def _shop_files(path: Path, settings: Settings, text: str) -> list[Path]:
    try:
        found = [f for f in settings.shops_dir.iterdir() if f.suffix.lower() == ".toml" and not f.name.startswith(".")]
    except OSError as error:
        told = f"{settings.shops_dir}: {error.strerror}"
        raise ConfigError(
            [Problem(file=path, line=line_of(text, ("shops_dir",)), key="shops_dir", text=told)]
        ) from None
    return sorted(found)


def _read_toml(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8-sig")
        return text, tomllib.loads(text)
    except OSError as error:
        raise ConfigError([Problem(file=path, text=str(error.strerror))]) from None
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError([Problem(file=path, line=line, text="not UTF-8; save the file as UTF-8")]) from None
    except tomllib.TOMLDecodeError as error:
        told, at_line, column = position_in(str(error))
        raise ConfigError([Problem(file=path, line=at_line, column=column, text=f"not TOML: {told}")]) from None


def _validated(
    model: type[M],
    table: Mapping[str, Any],
    file: Path,
    text: str,
    *,
    under: tuple[str, ...] = (),
    own_table: str = "",
) -> M:
    """A table as a settings model; its secrets are known to the log's redaction from here on."""
    try:
        made = model.model_validate(dict(table))
    except ValidationError as error:
        problems = [
            _problem(detail, model, file, text, under, own_table)
            for detail in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise ConfigError(problems) from None
    _register_secrets(made)
    return made


def _problem(
    detail: ErrorDetails, model: type[BaseModel], file: Path, text: str, under: tuple[str, ...], own_table: str
) -> Problem:
    place = under + tuple(detail["loc"])
    key = ".".join(str(part) for part in place)
    if detail["type"] == "extra_forbidden":
        told = _unknown(detail["loc"], model, under, own_table)
    elif detail["type"] == "missing":
        told = "is required"
    else:
        told = detail["msg"].removeprefix("Value error, ").replace("Input should", "should", 1)
    return Problem(file=file, line=line_of(text, place), key=key, text=told)


def _unknown(loc: tuple[int | str, ...], model: type[BaseModel], under: tuple[str, ...], own_table: str) -> str:
    """What to say about a key nobody knows: the nearest key there, else the table it belongs to."""
    key, known = str(loc[-1]), fields_at(model, loc[:-1])
    if own_table and len(loc) == 1:
        known = (*(name for name in known if name != "name"), own_table)
    near = difflib.get_close_matches(key, known, n=1)
    if near:
        return f"unknown; did you mean {near[0]}?"
    if under and key in ShopSettings.model_fields:
        return f"unknown here; it belongs above the first [table], not under [{under[0]}]"
    homes = [table for table in ("", *model.model_fields) if key in fields_at(model, (table,) if table else ())]
    if homes:
        return f"unknown here; it belongs {f'under [{homes[0]}]' if homes[0] else 'above the first [table]'}"
    return "unknown; known here: " + ", ".join(known) if known else "unknown"


def _register_secrets(model: BaseModel) -> None:
    for name in type(model).model_fields:
        value = getattr(model, name)
        for item in value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple) else (value,):
            if isinstance(item, SecretStr):
                register_secret(item)
            elif isinstance(item, BaseModel):
                _register_secrets(item)
