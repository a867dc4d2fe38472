"""Settings of one shop as its file gives them, and secrets by reference.

A secret never stands in a TOML file. It is named: `{ credential = "name" }` (systemd), `{ file = "…" }`
(mode 0600) or `{ env = "…" }`, read when the shop is built and printed as `***`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from syncd.model import ReturnReason, Returns


class Orders(StrEnum):
    """Whether a shop's orders are taken in."""

    OFF = "off"
    ON = "on"


class Writes(StrEnum):
    """Whether stock is written to a shop: never, computed and shown only, or for real."""

    OFF = "off"
    DRY_RUN = "dry_run"
    ON = "on"


class HandEdits(StrEnum):
    """What to do when staff changed a number on the mall: ask a person, write ours again, or take theirs."""

    ASK = "ask"
    OVERWRITE = "overwrite"
    ADOPT = "adopt"


class SecretError(ValueError):
    """A secret cannot be read. The text names the reference, never the secret."""


def read_secret(reference: object) -> SecretStr:
    """Read `{credential|file|env = "…"}`. Raises SecretError with the way out."""
    if isinstance(reference, SecretStr):
        return reference
    if not isinstance(reference, Mapping) or len(reference) != 1:
        raise SecretError('give a secret by reference: { credential = "name" }, { file = "path" } or { env = "NAME" }')
    [(kind, name)] = reference.items()
    if kind == "env":
        value = os.environ.get(str(name))
        if value is None:
            raise SecretError(f"environment variable {name} is not set")
        return SecretStr(value)
    if kind == "credential":
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        if folder is None:
            raise SecretError(
                f"credential {name}: not started by systemd with LoadCredential={name}:… (no CREDENTIALS_DIRECTORY)"
            )
        return _read_file(Path(folder) / str(name), check_mode=False)
    if kind == "file":
        return _read_file(Path(str(name)), check_mode=True)
    raise SecretError(f"unknown kind of secret {kind!r}; use credential, file or env")


def _read_file(path: Path, *, check_mode: bool) -> SecretStr:
    try:
        if check_mode and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise SecretError(f"{path} can be read by others; run chmod 600 {path}")
        return SecretStr(path.read_text(encoding="utf-8").strip("\r\n"))
    except OSError as error:
        raise SecretError(f"{path}: {error.strerror}") from None


Secret = Annotated[SecretStr, BeforeValidator(read_secret)]


class ChannelSettings(BaseModel):
    """Base of a channel's own table (`[rakuten]` in the shop file). Unknown keys are refused by the core."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ShopSettings(BaseModel):
    """What every shop file holds beside its channel's own table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        description="The shop's name: the file's name without .toml.", pattern=r"^[a-z0-9][a-z0-9-]{0,62}$"
    )
    channel: str = Field(description="Which plugin: rakuten, shopify, files, …")
    base_url: str | None = Field(
        None, description="Another address than the channel's own, e.g. a proxy or an emulator."
    )
    orders: Orders = Field(Orders.ON, description="Take this shop's orders in: on or off.")
    writes: Writes = Field(Writes.DRY_RUN, description="Write stock: off, dry_run (compute and show) or on.")
    locations: tuple[str, ...] = Field(
        ("main",), description="Locations this shop sells from; its orders are held at the first.", min_length=1
    )
    match_by: str = Field(
        "sku", description="How listings find their SKU on import (同一商品判定キー): sku, jan or listing."
    )
    ships: str = Field(
        "reported",
        description='When goods leave: "reported", "after <days>" or "at_order".',
        pattern=r"^(reported|at_order|after \d{1,3})$",
    )
    returns: Returns = Field(
        Returns.NEVER, description="Returned goods: back (on the shelf), never, or inspect (a person decides)."
    )
    returns_by_reason: dict[ReturnReason, Returns] = Field(
        {}, description="The same for a reason, where the channel tells one: refused, sent_back, damaged, other."
    )
    hand_edits: HandEdits = Field(
        HandEdits.ASK, description="A number lowered on the mall by hand: ask, overwrite or adopt."
    )
    poll_seconds: float | None = Field(
        None, gt=0, description="Seconds between two order reads; the channel's own if not set."
    )
    visibility_seconds: float | None = Field(
        None,
        ge=0,
        description="Longest until an accepted order can be read; the channel's own if not set. More where late_orders"
        " is alarmed, less only where it is known for certain.",
    )
    reconcile_seconds: float = Field(
        3600, gt=0, description="Seconds in which every listing's number is read back once."
    )
    timeout_seconds: float = Field(30, gt=0, description="Longest wait for one call of the plugin's network.")


def extra_of(model: type[BaseModel]) -> Mapping[str, Any]:
    """The JSON schema of a settings model, for `config schema` and the generated sample."""
    return model.model_json_schema()
