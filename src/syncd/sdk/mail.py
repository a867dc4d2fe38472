"""Mailboxes as channels see them: find new mails of some senders, read how they begin, mark them as seen.

`Mailbox` is the seam: IMAP in production, a mailbox in memory in tests. A mail is never more than a hint, so nothing
here can read a whole one. Errors are `ChannelError`s.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pydantic import SecretStr

MOST_FOUND = 20_000
"""Ids that one search gives at most, newest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailAddress:
    """Where a shop's mails lie, and as whom. Always over TLS; `ca_file` names the only CAs trusted, if given."""

    host: str
    port: int
    user: str
    password: SecretStr
    folder: str = "INBOX"
    ca_file: str | None = None
    timeout_seconds: float = 10.0


class Mailbox(ABC):
    """One session with a folder of mails, opened at the first call and again after a loss.

    Ids are the server's; one of an earlier numbering of the folder names no mail. Only `mark_seen` changes anything.
    """

    @abstractmethod
    async def unseen(self, senders: Sequence[str], since: datetime) -> Sequence[str]:
        """Ids of unseen mails come since that day whose sender holds one of these texts, newest first."""

    @abstractmethod
    async def head(self, mail: str, max_bytes: int) -> bytes:
        """How the headers From, Content-Type and Content-Transfer-Encoding begin; empty for a mail that is gone."""

    @abstractmethod
    async def text(self, mail: str, max_bytes: int) -> bytes:
        """How what follows the headers begins, as it was sent; empty for a mail that is gone."""

    @abstractmethod
    async def mark_seen(self, mails: Sequence[str]) -> None:
        """Mark mails as seen; those that are gone are no error. May be repeated."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close the session."""


class MailOpener(Protocol):
    """Opens a shop's session with a mail server."""

    def __call__(self, address: MailAddress) -> Mailbox: ...


def no_mail(address: MailAddress) -> Mailbox:
    """The opener where no mail is read."""
    raise RuntimeError(f"no mail is read here: {address.host}")
