"""The `[amazon]` table of a shop file."""

from __future__ import annotations

from datetime import date
from enum import StrEnum

from pydantic import Field

from syncd.sdk.settings import ChannelSettings, Secret

JAPAN = "A1VC38T7YXB528"


class Preorders(StrEnum):
    """What an order for goods that are not out yet does: holds stock, or waits until it can be shipped."""

    HOLD = "hold"
    WAIT = "wait"


class AmazonSettings(ChannelSettings):
    """Keys and habits of one Amazon seller account."""

    seller_id: str = Field(
        description="The account's merchant token (出品者トークン): Seller Central, Settings, Account Info.",
        pattern=r"^A[A-Z0-9]{5,20}$",
    )
    client_id: str = Field(
        description="LWA client ID of the private application: amzn1.application-oa2-client.…", pattern=r"^\S+$"
    )
    client_secret: Secret = Field(description="LWA client secret. It has to be rotated every 180 days.")
    client_secret_issued: date | None = Field(
        None, description="Day the client secret was issued; the warnings before its end are counted from it."
    )
    refresh_token: Secret = Field(description="Refresh token (Atzr|…) from authorising the application oneself.")
    marketplace_id: str = Field(JAPAN, description="The marketplace: Amazon.co.jp.", pattern=r"^A[A-Z0-9]+$")
    overlap_minutes: int = Field(
        5, ge=1, le=120, description="How far back every order read reaches, for orders that show up late."
    )
    preorders: Preorders = Field(
        Preorders.HOLD, description="Orders before the release (PENDING_AVAILABILITY): hold stock, or wait."
    )
