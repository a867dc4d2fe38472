"""The `[amazon]` table of a shop file."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from syncd.sdk.settings import ChannelSettings, Secret

JAPAN = "A1VC38T7YXB528"


class Preorders(StrEnum):
    """What an order for goods that are not out yet does: holds stock, or waits until it can be shipped."""

    HOLD = "hold"
    WAIT = "wait"


class Subscribed(StrEnum):
    """Who sees to it that order notifications go to our queue: the daemon, or a person."""

    BY_US = "by_us"
    BY_HAND = "by_hand"


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
    queue_arn: str | None = Field(
        None,
        description="SQS queue for order notifications: arn:aws:sqs:… Needs pip install 'syncd[amazon-sqs]'.",
        pattern=r"^arn:aws:sqs:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,80}$",
    )
    queue_url: str | None = Field(
        None, description="Address of the queue, where it is not the one that follows from queue_arn."
    )
    queue_key_id: Secret | None = Field(None, description="Access key ID that may receive and delete there.")
    queue_secret: Secret | None = Field(None, description="Secret access key that belongs to it.")
    queue_subscription: Subscribed = Field(
        Subscribed.BY_US, description="Who has Amazon send notifications to the queue: by_us or by_hand."
    )

    @model_validator(mode="after")
    def _queue_is_whole(self) -> Self:
        if self.queue_arn is not None and (self.queue_key_id is None or self.queue_secret is None):
            raise ValueError("queue_arn needs queue_key_id and queue_secret")
        if self.queue_arn is None and (self.queue_key_id, self.queue_secret, self.queue_url) != (None, None, None):
            raise ValueError("queue_url, queue_key_id and queue_secret do nothing without queue_arn")
        if self.queue_url is not None:
            parts = urlsplit(self.queue_url)
            if parts.scheme != "https" and (parts.scheme, parts.hostname) != ("http", "127.0.0.1"):
                raise ValueError("queue_url: an https address (http only to 127.0.0.1)")
        return self

    @property
    def queue_address(self) -> str:
        """The queue's address; empty where there is no queue."""
        if self.queue_arn is None or self.queue_url is not None:
            return self.queue_url or ""
        region, account, name = self.queue_arn.split(":")[3:]
        return f"https://sqs.{region}.amazonaws.com/{account}/{name}"
