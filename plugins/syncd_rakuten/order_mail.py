"""Order mail (注文確認メール) as a hint: a new one makes the orders be read, first those whose number it shows.

Nothing else is taken from a mail, so a forged one does no harm. Only how a mail begins is ever fetched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from email import message_from_bytes
from email.utils import getaddresses

from syncd.clock import Clock
from syncd.sdk.channel import Hint, HintPage
from syncd.sdk.errors import ChannelError
from syncd.sdk.mail import MailAddress, Mailbox
from syncd_rakuten.notices import ORDER_NUMBER
from syncd_rakuten.settings import MailSettings

REACH = timedelta(days=2)  # older mails are no news; a backlog of unread ones stays as it is
MAILS = 10  # read in one look; the rest waits for the next
MARKED = 100  # in one call, whose line a server takes only so long
HEAD_BYTES = 4096
TEXT_BYTES = 2048
NUMBERS = 4  # of one mail; Rakuten's shows one
NUMBER = re.compile(rb"(?<![\d-])" + ORDER_NUMBER.pattern.encode() + rb"(?![\d-])")


def address_of(settings: MailSettings) -> MailAddress:
    """Where the mailbox is."""
    return MailAddress(
        host=settings.host,
        port=settings.port,
        user=settings.user,
        password=settings.password,
        folder=settings.folder,
        ca_file=settings.ca_file,
    )


class OrderMail:
    """Watches one mailbox. `look_at` is told the orders that mails name."""

    def __init__(
        self, mailbox: Mailbox, settings: MailSettings, clock: Clock, look_at: Callable[[Iterable[str]], None]
    ) -> None:
        self._mailbox = mailbox
        self._settings = settings
        self._clock = clock
        self._look_at = look_at
        self._next_look = 0.0
        self._foreign: set[str] = set()  # the server's search found them, their sender is another
        self._taken: set[str] = set()  # their hint was taken, marking them may have failed

    async def listen(self) -> HintPage:
        """Wait until a look is due, and have one. A mail is marked as seen once its hint was taken."""
        await self._clock.sleep(max(0.0, self._next_look - self._clock.monotonic()))
        self._next_look = self._clock.monotonic() + self._settings.look_seconds
        found = await self._unseen()
        self._foreign.intersection_update(found)
        self._taken.intersection_update(found)
        fresh = [mail for mail in found if mail not in self._foreign and mail not in self._taken]
        ours = [mail for mail in fresh[:MAILS] if await self._read(mail)]
        if not ours and not self._taken:
            return HintPage()

        async def acknowledge() -> None:
            self._taken.update(ours)
            await self._mailbox.mark_seen(sorted(self._taken)[:MARKED])

        return HintPage(tuple(Hint(orders=True, id=f"mail:{mail}") for mail in ours), acknowledge)

    async def trouble(self) -> str:
        """Why the mailbox cannot be used; empty when it can. Changes nothing."""
        try:
            await self._unseen()
        except ChannelError as error:
            return f"order mail gives no hints ({type(error).__name__}: {error})"
        return ""

    async def aclose(self) -> None:
        await self._mailbox.aclose()

    async def _unseen(self) -> list[str]:
        return list(await self._mailbox.unseen(self._settings.senders, self._clock.now() - REACH))

    async def _read(self, mail: str) -> bool:
        """Have the orders of a mail looked at. False for one of another sender, of which no text is fetched."""
        head = await self._mailbox.head(mail, HEAD_BYTES)
        if not is_from(head, self._settings.senders):
            self._foreign.add(mail)
            return False
        self._look_at(numbers_in(head, await self._mailbox.text(mail, TEXT_BYTES)))
        return True


def is_from(head: bytes, senders: Iterable[str]) -> bool:
    """Whether a From header names one of the senders: an address, or `@domain` for all of one."""
    try:
        fields = [str(one) for one in message_from_bytes(head).get_all("from", [])]
        told = {address.lower() for _, address in getaddresses(fields)}
    except Exception:  # noqa: BLE001  # the parser raises what it meets in a broken header: nobody's mail
        return False
    wanted = [sender.lower() for sender in senders]
    return any(one.endswith(want) if want[0] == "@" else one == want for one in told for want in wanted)


def numbers_in(head: bytes, text: bytes) -> frozenset[str]:
    """The first order numbers in how a mail begins.

    They are sought in bytes, whatever the charset says: in all that mails are written in, digits are ASCII.
    """
    found: dict[str, None] = {}
    for content in _contents(head, text):
        found |= {match.group().decode(): None for match in NUMBER.finditer(content)}
    return frozenset(list(found)[:NUMBERS])


def _contents(head: bytes, text: bytes) -> Iterator[bytes]:
    """The parts of a mail, their transfer encoding undone as far as it holds; the last may be cut off."""
    try:
        for part in message_from_bytes(head.rstrip() + b"\r\n\r\n" + text).walk():
            content = part.get_payload(decode=True)
            if isinstance(content, bytes):
                yield content
    except Exception:  # noqa: BLE001  # the parser raises what it meets in a broken mail: a hint without a number
        return
