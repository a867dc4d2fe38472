"""A folder of mails in memory: `MailFolder` is the server's side, `MemoryMailbox` a session with it.

An emulator whose shop reads mail offers `open_mail`, which gives such a session.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import anyio.lowlevel

from syncd.sdk.errors import ChannelError, SignInRequired
from syncd.sdk.mail import MailAddress, Mailbox

ASKED = (b"from", b"content-type", b"content-transfer-encoding")


@dataclass(slots=True)
class KeptMail:
    """One mail as it came, and whether it counts as read."""

    raw: bytes
    at: datetime
    seen: bool = False

    @property
    def head(self) -> bytes:
        """The lines of the headers that are asked for, as a server gives them, with the empty line at the end."""
        kept, taken = [], False
        for line in self.raw.partition(b"\r\n\r\n")[0].split(b"\r\n"):
            if not line.startswith((b" ", b"\t")):
                taken = line.partition(b":")[0].strip().lower() in ASKED
            if taken:
                kept.append(line)
        return b"".join(line + b"\r\n" for line in (*kept, b""))

    @property
    def text(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[2]

    def comes_from(self, sender: str) -> bool:
        """As servers search: the header holds the text, in any case."""
        lines = self.head.lower().replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ").split(b"\r\n")
        return any(line.startswith(b"from:") and sender.lower().encode() in line for line in lines)


@dataclass(slots=True)
class MailFolder:
    """The mails of one folder by number. Tests set `trouble`, `password` and `numbering`, and count `calls`."""

    password: str
    mails: dict[int, KeptMail] = field(default_factory=dict)
    numbering: int = 1
    trouble: ChannelError | None = None
    calls: Counter[str] = field(default_factory=Counter)
    given_bytes: int = 0

    def put(self, raw: bytes, at: datetime) -> int:
        """A mail arrives; gives its number."""
        number = len(self.mails) + 1
        self.mails[number] = KeptMail(raw, at)
        return number

    def seen(self) -> set[int]:
        return {number for number, mail in self.mails.items() if mail.seen}


class MemoryMailbox(Mailbox):
    """A session with a folder in memory."""

    def __init__(self, folder: MailFolder, address: MailAddress) -> None:
        self._folder = folder
        self._address = address

    async def unseen(self, senders: Sequence[str], since: datetime) -> Sequence[str]:
        await self._called("search")
        found = [
            number
            for number, mail in self._folder.mails.items()
            if not mail.seen and mail.at.date() >= since.date() and any(map(mail.comes_from, senders))
        ]
        return [f"{self._folder.numbering}-{number}" for number in sorted(found, reverse=True)]

    async def head(self, mail: str, max_bytes: int) -> bytes:
        await self._called("head")
        kept = self._of(mail)
        return b"" if kept is None else self._given(kept.head[:max_bytes])

    async def text(self, mail: str, max_bytes: int) -> bytes:
        await self._called("text")
        kept = self._of(mail)
        return b"" if kept is None else self._given(kept.text[:max_bytes])

    async def mark_seen(self, mails: Sequence[str]) -> None:
        await self._called("store")
        for kept in filter(None, map(self._of, mails)):
            kept.seen = True

    async def aclose(self) -> None:
        self._folder.calls["close"] += 1

    def _of(self, mail: str) -> KeptMail | None:
        numbering, _, number = mail.partition("-")
        return self._folder.mails.get(int(number)) if int(numbering) == self._folder.numbering else None

    def _given(self, content: bytes) -> bytes:
        self._folder.given_bytes += len(content)
        return content

    async def _called(self, operation: str) -> None:
        await anyio.lowlevel.checkpoint()
        self._folder.calls[operation] += 1
        if self._folder.trouble is not None:
            raise self._folder.trouble
        if self._address.password.get_secret_value() != self._folder.password:
            raise SignInRequired(f"{self._address.host} refuses user {self._address.user}")
