"""The `[shopify]` table of a shop file."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import Field, field_validator, model_validator

from syncd.sdk.settings import ChannelSettings, Secret


class StockPushes(StrEnum):
    """Whether the shop also pushes every change of a number on sale. Each write of ours causes one too."""

    OFF = "off"
    ON = "on"


class Notify(StrEnum):
    """Whether Shopify mails the buyer when a shipment is told."""

    OFF = "off"
    ON = "on"


LOCATION = "gid://shopify/Location/"


class ShopifySettings(ChannelSettings):
    """Which shop, which key, and which location syncd writes."""

    shop: str = Field(
        description="The shop's own domain: example.myshopify.com, not the domain buyers see.",
        pattern=r"^[a-z0-9][a-z0-9-]*\.myshopify\.com$",
    )
    access_token: Secret | None = Field(
        None,
        description="Token of a custom app made in the admin before 2026 (shpat_…); else client_id and client_secret.",
    )
    client_id: str | None = Field(
        None, description="Client ID of an app of the Dev Dashboard, same organisation as the shop."
    )
    client_secret: Secret | None = Field(None, description="Its client secret; tokens of 24 hours are fetched with it.")
    api_version: str = Field(
        "2026-10", description="Version of the Admin API.", pattern=r"^20(2[6-9]|[3-9]\d)-(01|04|07|10)$"
    )
    webhook_secret: Secret | None = Field(
        None,
        description="API secret key of a custom app made in the admin, to verify pushes; else client_secret does.",
    )
    stock_pushes: StockPushes = Field(
        StockPushes.OFF,
        description="Also have changes of stock pushed: finds hand edits at once, costs a push for each write.",
    )
    notify_buyers: Notify = Field(Notify.ON, description="Whether Shopify mails the buyer when a shipment is told.")
    location: str = Field(
        description="The location (ロケーション) whose stock syncd writes: its number or its gid.",
        pattern=r"^(gid://shopify/Location/)?\d+$",
    )

    @field_validator("location", mode="before")
    @classmethod
    def _number_as_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _one_kind_of_key(self) -> Self:
        pair = (self.client_id is not None, self.client_secret is not None)
        if self.access_token is not None and any(pair):
            raise ValueError("give either access_token, or client_id and client_secret, not both")
        if self.access_token is None and not all(pair):
            raise ValueError("a key is missing: give access_token, or both client_id and client_secret")
        return self

    @property
    def push_secret(self) -> Secret | None:
        """What pushes are signed with; None where it is not known."""
        return self.webhook_secret or self.client_secret

    @property
    def location_gid(self) -> str:
        """The location as Shopify's global id."""
        return LOCATION + self.location.removeprefix(LOCATION)
