"""What `syncd.toml` can set. The descriptions and defaults here are the sample file and the settings page."""

from __future__ import annotations

import re
from datetime import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from syncd.sdk.settings import Secret

SECRET_SCHEMA = WithJsonSchema(
    {
        "type": "object",
        "properties": {"credential": {"type": "string"}, "file": {"type": "string"}, "env": {"type": "string"}},
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
)


class LogFormat(StrEnum):
    """How log lines look: JSON for machines, console for people, or by whether stderr is a terminal."""

    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


class LogLevel(StrEnum):
    """The least severe line that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def _address(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host.strip("[]") or not port.isascii() or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise ValueError('should be "host:port", e.g. "127.0.0.1:8484" or "[::1]:8484"')
    return value


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError('should be an address such as "https://hooks.example.com"; malls push to https only')
    return value.rstrip("/")


def _time_of_day(value: str) -> str:
    if value:
        try:
            time.fromisoformat(value)
        except ValueError:
            raise ValueError('should be a time of day such as "03:30", or "" for never') from None
        if len(value) != 5:
            raise ValueError('should be hours and minutes, such as "03:30"')
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (OSError, ValueError):  # ZoneInfoNotFoundError is a KeyError with an OSError's cause
        raise ValueError("should be a path-free zone name such as Asia/Tokyo") from None
    except KeyError:
        raise ValueError(f"no time zone {value} on this machine; check the name, or install tzdata") from None
    return value


class Table(BaseModel):
    """Base of every table: unknown keys refused, values frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=False)


class Batch(Table):
    """How often changes that are no stockout are sent."""

    every_seconds: float = Field(180, gt=0, le=86_400, description="Seconds between two batches of changes.")


class FullSync(Table):
    """The daily comparison of every listing (一括同期), in the background."""

    at: Annotated[str, AfterValidator(_time_of_day)] = Field(
        "03:30", description='Time of day at which every listing is compared and pushed; "" for never.'
    )
    zone: Annotated[str, AfterValidator(_zone)] = Field("Asia/Tokyo", description="Time zone of `at`.")

    @property
    def time_of_day(self) -> time | None:
        """When it runs, in `zone`; None for never."""
        return time.fromisoformat(self.at) if self.at else None


class Brake(Table):
    """Holds a turn that would empty a shop by accident, until a person approves it. Both must be exceeded."""

    listings: int = Field(
        20, ge=0, description="Hold a turn that, not by orders, brings more listings than this to 0 …"
    )
    share: float = Field(0.05, ge=0, le=1, description="… and more than this share of the shop's listings.")


class Limits(Table):
    """How long silence may last before a shop is alarmed."""

    order_read_seconds: float = Field(
        180, gt=0, description="Longest time without a good order read; never less than five polls of the shop."
    )
    write_seconds: float = Field(
        900, gt=0, description="Longest time without a good write while changes wait for the shop."
    )
    oldest_push_seconds: float = Field(900, gt=0, description="Longest wait of a change in the batch lane.")
    stockout_seconds: float = Field(30, gt=0, description="Longest wait of a stockout before it is alarmed.")
    doubt_seconds: float = Field(
        600, gt=0, description="Longest time a write may stay in doubt, beyond the channel's own bound."
    )
    shipment_seconds: float = Field(
        3600, gt=0, description="Longest time a shipment booked here may wait for its shop, or stay in doubt."
    )
    watermark_seconds: float = Field(
        600, gt=0, description="Longest standstill of a shop's order watermark, beyond the channel's own bound."
    )


class Stop(Table):
    """How the daemon ends."""

    drain_seconds: float = Field(
        20, ge=0, le=40, description="Seconds that open calls get to finish at a stop; the rest is in doubt."
    )


class Log(Table):
    """The log on stderr."""

    level: LogLevel = Field(LogLevel.INFO, description="Least severe line written: debug, info, warning or error.")
    format: LogFormat = Field(
        LogFormat.AUTO, description="json, console, or auto (console on a terminal, otherwise json)."
    )


class Retention(Table):
    """What is forgotten, and when."""

    orders_days: int = Field(
        730, ge=30, description="Days for which closed orders are kept; the ledger's sums stay for ever."
    )


class Keys(Table):
    """What seals the grants (OAuth tokens) in the store."""

    encryption: Annotated[Secret, SECRET_SCHEMA] | None = Field(
        None,
        description=(
            "Key that seals tokens in the store: 32 random bytes in base64 (openssl rand -base64 32). To replace it, "
            "put the new key on a line above the old one and restart; then take the old line out. Made in "
            "state_dir/store.key at the first start if not set; a backup of the store is of use only with its key."
        ),
        examples=[{"credential": "store-key"}],
    )


class Plugins(Table):
    """Which plugins may be loaded."""

    allow: tuple[str, ...] = Field(
        ("*",), description='Entry points that may be loaded, e.g. ["rakuten", "shopify"]; ["*"] for all installed.'
    )

    def allows(self, entry_point: str) -> bool:
        return "*" in self.allow or entry_point in self.allow


def _policy(text: str) -> str:
    """A policy that exists; raises ValueError with those that do."""
    if re.fullmatch(r"auto|mirror(\+reserve \d{1,6})?|escrow", text) is None:
        raise ValueError('must be "auto", "mirror", "mirror+reserve N" or "escrow"')
    return text


class Policy(Table):
    """How SKUs are shown for which `syncd policy` says nothing else."""

    usual: Annotated[str, AfterValidator(_policy)] = Field(
        "auto",
        description="auto (by measured demand), mirror, mirror+reserve N, or escrow (never oversold).",
    )


class Settings(Table):
    """Everything that `syncd.toml` sets. Relative paths count from its folder."""

    state_dir: Path = Field(Path("/var/lib/syncd"), description="Where the store and generated secrets lie.")
    listen: Annotated[str, AfterValidator(_address)] = Field(
        "127.0.0.1:8484", description="Address of the admin API, /metrics and /healthz. Keep it on loopback."
    )
    listen_webhooks: Annotated[str, AfterValidator(_address)] | None = Field(
        None,
        description=(
            "Address of a second listener that takes pushes of malls at /webhooks/<shop> and nothing else, for a TLS "
            "proxy before it; off if not set. A push only wakes a read, so polling goes on as before."
        ),
        examples=["127.0.0.1:8485"],
    )
    webhooks_url: Annotated[str, AfterValidator(_web_address)] | None = Field(
        None,
        description=(
            "Where malls reach that listener through your proxy; shops that can be told so by their API are told it at "
            "start and daily."
        ),
        examples=["https://hooks.example.com"],
    )
    shops_dir: Path = Field(Path("shops.d"), description="Folder of the shop files, one <shop>.toml each.")
    admin_token: Annotated[Secret, SECRET_SCHEMA] | None = Field(
        None,
        description="Bearer token of the admin API; made in state_dir/admin.token at the first start if not set.",
        examples=[{"credential": "admin-token"}],
    )
    policy: Policy = Field(default_factory=Policy)
    batch: Batch = Field(default_factory=Batch)
    full_sync: FullSync = Field(default_factory=FullSync)
    brake: Brake = Field(default_factory=Brake)
    limits: Limits = Field(default_factory=Limits)
    stop: Stop = Field(default_factory=Stop)
    log: Log = Field(default_factory=Log)
    retention: Retention = Field(default_factory=Retention)
    keys: Keys = Field(default_factory=Keys)
    plugins: Plugins = Field(default_factory=Plugins)

    @property
    def address(self) -> tuple[str, int]:
        """Host (without brackets) and port to listen on."""
        return _parts(self.listen)

    @property
    def webhooks_address(self) -> tuple[str, int] | None:
        """Host and port of the second listener; None for none."""
        return None if self.listen_webhooks is None else _parts(self.listen_webhooks)


def _parts(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def fields_at(model: type[BaseModel], path: tuple[Any, ...]) -> tuple[str, ...]:
    """The keys that a settings model knows in the table at `path`; none where there is no such table."""
    for part in path:
        field = model.model_fields.get(str(part))
        annotation = field.annotation if field else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return ()
        model = annotation
    return tuple(model.model_fields)
