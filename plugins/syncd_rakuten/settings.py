"""The `[rakuten]` table of a shop file."""

from __future__ import annotations

from datetime import date
from enum import StrEnum

from pydantic import Field

from syncd.sdk.settings import ChannelSettings, Secret


class Confirm(StrEnum):
    """Whether an order is confirmed (注文確認) by us: when it is shipped, or never."""

    WHEN_SHIPPED = "when_shipped"
    NEVER = "never"


class RakutenSettings(ChannelSettings):
    """Keys and habits of one Rakuten shop."""

    shop_url: str = Field(
        description="The shop's id on Rakuten: the last part of www.rakuten.co.jp/<shop_url>/ (店舗URL).",
        pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$",
    )
    service_secret: Secret = Field(description="serviceSecret of RMS WEB SERVICE.")
    license_key: Secret = Field(description="licenseKey of RMS WEB SERVICE. It lives 90 days.")
    notice_auth_key: Secret | None = Field(
        None, description="authKey of the push notices (システムイベント通知サービス), where the shop has them."
    )
    license_expires: date | None = Field(
        None, description="Last day of the licence key; used when Rakuten's licence API does not answer."
    )
    content_type: str = Field(
        "application/json;charset=utf-8",
        description="Content-Type of every call with a body. Change it only when Rakuten answers 415 ES04-03.",
        pattern=r"^application/json",
    )
    order_version: int = Field(10, ge=7, description="Version of getOrder. 7 is the first with SKUs.")
    confirm: Confirm = Field(
        Confirm.WHEN_SHIPPED,
        description="Confirm orders that wait for it (注文確認待ち) when they are shipped: when_shipped or never.",
    )
    overlap_hours: int = Field(
        3, ge=1, le=72, description="How far back every order search reaches, for orders that show up late."
    )
    reread_seconds: int = Field(
        60, ge=10, description="Seconds between two rounds that read every open order again for changes."
    )
    sweep_seconds: int = Field(
        900, ge=60, description="Seconds between two sweeps over 63 days for changed, cancelled and missed orders."
    )
