"""The `[rakuten]` table of a shop file."""

from __future__ import annotations

import re
from datetime import date
from enum import StrEnum

from pydantic import Field, field_validator

from syncd.sdk.settings import ChannelSettings, Secret

SENDER = re.compile(r"[A-Za-z0-9._%+-]*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")


class Confirm(StrEnum):
    """Whether an order is confirmed (注文確認) by us: when it is shipped, or never."""

    WHEN_SHIPPED = "when_shipped"
    NEVER = "never"


class MailSettings(ChannelSettings):
    """The mailbox that Rakuten's order mail comes to."""

    host: str = Field(description="The mail server (IMAP over TLS).", pattern=r"^[A-Za-z0-9]([A-Za-z0-9.:-]*)$")
    port: int = Field(993, ge=1, le=65535, description="Its port for IMAP over TLS.")
    user: str = Field(description="Whom to sign in as.", pattern=r"^[!-~]+$")
    password: Secret = Field(description="The password; where the provider makes such ones, one for this use only.")
    folder: str = Field(
        "INBOX",
        description="The folder that the mails are in, as the server spells it: 注文 is &bOhlhw-.",
        pattern=r"^[ -~]+$",
    )
    senders: tuple[str, ...] = Field(
        ("order@rakuten.co.jp",),
        min_length=1,
        description='Whose mails are hints: addresses, or "@domain" for all of one.',
    )
    look_seconds: float = Field(5, ge=1, le=20, description="Seconds between two looks into the mailbox.")
    ca_file: str | None = Field(
        None, description="The only CAs to trust (PEM), for a server of one's own; the system's if not set."
    )

    @field_validator("senders")
    @classmethod
    def _senders_are_addresses(cls, senders: tuple[str, ...]) -> tuple[str, ...]:
        if not all(SENDER.fullmatch(sender) for sender in senders):
            raise ValueError('an address, or "@domain"')
        return senders


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
    mail: MailSettings | None = Field(
        None, description="The mailbox of the order mail ([rakuten.mail]): a new mail makes the orders be read at once."
    )
