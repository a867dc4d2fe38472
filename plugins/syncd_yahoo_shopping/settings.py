"""The `[yahoo-shopping]` table of a shop file."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import StrEnum

from pydantic import Field

from syncd.sdk.channel import Carrier
from syncd.sdk.settings import ChannelSettings, Secret


class Environment(StrEnum):
    """Which of Yahoo's two systems: the real one, or the test system (its stores are named snbx-…)."""

    PRODUCTION = "production"
    TEST = "test"


class StockClose(StrEnum):
    """What a restock does to the stock-close flag (在庫クローズ): leaves it, or releases it."""

    KEEP = "keep"
    RELEASE = "release"


class Overdraft(StrEnum):
    """What a write does to an item's 在庫切れ時の注文受付 (allow_overdraft): leaves it, or switches it off."""

    KEEP = "keep"
    OFF = "off"


class StockRoute(StrEnum):
    """How stock is written: by setStock, by stock CSV (在庫CSV) alone, or by CSV where setStock would take longer."""

    SET_STOCK = "set_stock"
    CSV = "csv"
    EITHER = "either"


class YahooShoppingSettings(ChannelSettings):
    """Keys and habits of one Yahoo! Shopping store."""

    seller_id: str = Field(
        description="The store account (ストアアカウント).", pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
    )
    client_id: str = Field(description="Client ID of the application (アプリケーションID).", min_length=1)
    client_secret: Secret = Field(description="Its secret.")
    redirect_uri: str = Field(
        "https://localhost/",
        description="A return address (コールバックURL) registered for the application.",
        min_length=1,
    )
    signed_in_as: str = Field(
        "",
        description="A name of your own for the Yahoo! JAPAN ID that signs in. Stores with the same application and"
        " the same name share one sign-in.",
        pattern=r"^[A-Za-z0-9._-]{0,64}$",
    )
    refresh_token: Secret | None = Field(
        None, description="A refresh token obtained elsewhere; used until the first `syncd shops sign-in`."
    )
    public_key: Secret | None = Field(
        None, description="The store's public key (公開鍵), with its BEGIN and END lines. Needed to read orders."
    )
    public_key_version: str = Field("1", description="The number shown beside the key.", pattern=r"^\d{1,6}$")
    public_key_expires: date | None = Field(None, description="Last day of the public key; it lives a year.")
    environment: Environment = Field(Environment.PRODUCTION, description="production or test.")
    stock_route: StockRoute = Field(
        StockRoute.SET_STOCK,
        description="set_stock; csv where setStock cannot be had; or either: by CSV where setStock would take longer.",
    )
    stock_close: StockClose = Field(
        StockClose.KEEP,
        description="A restock leaves (keep) or releases (release) the stock-close flag (在庫クローズ).",
    )
    allow_overdraft: Overdraft = Field(
        Overdraft.KEEP,
        description="Writes leave (keep) or switch off (off) orders beyond the stock (在庫切れ時の注文受付).",
    )
    bidding_types: tuple[str, ...] = Field(
        (), description="Codes of YahooAuctionBidType that mean bidding (競売); its lines go by the auction's own code."
    )
    carrier_codes: Mapping[Carrier, str] = Field(
        default_factory=dict, description='ShipCompanyCode by carrier, e.g. { japan_post = "1003" }; others go as 1000.'
    )
    no_tracking_reason: int = Field(
        105, ge=101, le=105, description="ShipInvoiceNumberEmptyReason of a parcel without a number."
    )
    overlap_hours: int = Field(
        3, ge=1, le=72, description="How far back every order search reaches, for orders that show up late."
    )
    sweep_seconds: int = Field(
        600, ge=60, description="Seconds between two sweeps for changed orders; a fifth of it when the counts moved."
    )
    sweep_days: int = Field(60, ge=7, le=365, description="How many days of orders a sweep looks through.")
