"""IMAP over TLS behind `Mailbox`, by the standard library's client, whose blocking calls run in a thread.

The server's certificate must hold; nothing is trusted at first sight. After a refused sign-in the server is left alone
for 15 minutes, since accounts that knock too often are locked. Every call ends within the address's time limit, and no
answer of the server, however long it says it is, is read beyond a bound.
"""

from __future__ import annotations

import imaplib
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from email.utils import format_datetime
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from syncd.clock import Clock
from syncd.sdk.errors import BrokenAnswer, CallRefused, ChannelError, SignInRequired, Unavailable
from syncd.sdk.mail import MOST_FOUND, MailAddress, Mailbox, MailOpener

T = TypeVar("T")

SIGN_IN_PAUSE_SECONDS = 900.0
LITERAL_BYTES = 64 * 1024
HEAD = "HEADER.FIELDS (FROM CONTENT-TYPE CONTENT-TRANSFER-ENCODING)"
NOT_NOW = ("[UNAVAILABLE]", "[SERVERBUG]", "[INUSE]", "[LIMIT]")
"""Codes of RFC 5530 with which a server refuses a sign-in for reasons that no other password would mend."""


def imap_opener(clock: Clock) -> MailOpener:
    """The opener for production: `ShopContext.mail`."""

    def opened(address: MailAddress) -> Mailbox:
        return ImapMailbox(address, clock)

    return opened


class _Client(imaplib.IMAP4_SSL):
    """The standard client; it believes no announced length beyond what we ever ask for."""

    def read(self, size: int) -> bytes:
        if size > LITERAL_BYTES:
            raise self.abort("an answer longer than what was asked for")
        return super().read(size)


class ImapMailbox(Mailbox):
    """One session with a folder. Calls take turns; a lost session is opened again by the next call."""

    def __init__(self, address: MailAddress, clock: Clock) -> None:
        self._address = address
        self._clock = clock
        self._turn = anyio.Lock()
        self._client: _Client | None = None
        self._numbering = ""
        self._refused: tuple[float, str] | None = None  # when a sign-in was refused last, and how

    async def unseen(self, senders: Sequence[str], since: datetime) -> Sequence[str]:
        day = "-".join(format_datetime(since).split()[1:4])  # RFC 3501 wants 25-Nov-2026, in English

        def work(client: _Client) -> set[int]:
            found: set[int] = set()
            for sender in senders:
                kind, data = client.uid("SEARCH", "UNSEEN", "SINCE", day, "FROM", _quoted(sender))
                found |= _numbers(_accepted("search", kind, data))
            return found

        found = await self._run("search", work)
        return [f"{self._numbering}-{number}" for number in sorted(found, reverse=True)[:MOST_FOUND]]

    async def head(self, mail: str, max_bytes: int) -> bytes:
        return await self._begin_of(mail, HEAD, max_bytes)

    async def text(self, mail: str, max_bytes: int) -> bytes:
        return await self._begin_of(mail, "TEXT", max_bytes)

    async def mark_seen(self, mails: Sequence[str]) -> None:
        def work(client: _Client) -> None:
            numbers = ",".join(filter(None, map(self._number_of, mails)))
            if numbers:
                kind, data = client.uid("STORE", numbers, "+FLAGS.SILENT", r"(\Seen)")
                _accepted("store", kind, data)

        await self._run("store", work)

    async def aclose(self) -> None:
        self._drop()

    async def _begin_of(self, mail: str, section: str, max_bytes: int) -> bytes:
        def work(client: _Client) -> bytes:
            number = self._number_of(mail)
            if not number:
                return b""
            kind, data = client.uid("FETCH", number, f"(BODY.PEEK[{section}]<0.{max_bytes}>)")
            literals = [part[1] for part in _accepted("fetch", kind, data) if isinstance(part, tuple)]
            return b"".join(literals)[:max_bytes]

        return await self._run("fetch", work)

    def _number_of(self, mail: str) -> str:
        """The mail's number in the folder as it is numbered now; empty for one of an earlier numbering."""
        numbering, _, number = mail.partition("-")
        return number if numbering == self._numbering and number.isdecimal() else ""

    # -- the session ---------------------------------------------------------------------------------------

    async def _run(self, what: str, work: Callable[[_Client], T]) -> T:
        """Do some work in a thread. Whatever ends it early ends the session too: its answers would come out of step."""
        host = f"{self._address.host}:{self._address.port}"
        async with self._turn:
            try:
                with self._clock.limit(self._address.timeout_seconds):
                    client = await self._session()
                    client.untagged_responses.clear()  # news of the folder that nobody asks for would pile up
                    return await anyio.to_thread.run_sync(work, client, abandon_on_cancel=True)
            except ssl.SSLCertVerificationError as error:
                self._drop()
                raise SignInRequired(f"{host}: its certificate does not hold: {error.verify_message}") from None
            except (imaplib.IMAP4.error, OSError, ValueError) as error:  # the last of a server's broken lines
                self._drop()
                raise Unavailable(f"{host}: {what}: {type(error).__name__}") from None
            except BaseException:
                self._drop()
                raise

    async def _session(self) -> _Client:
        if self._client is not None:
            return self._client
        if self._refused is not None and self._clock.monotonic() - self._refused[0] < SIGN_IN_PAUSE_SECONDS:
            raise SignInRequired(self._refused[1])
        try:
            client, self._numbering = await anyio.to_thread.run_sync(self._opened, abandon_on_cancel=True)
        except SignInRequired as error:
            self._refused = (self._clock.monotonic(), str(error))
            raise
        self._client, self._refused = client, None
        return client

    def _opened(self) -> tuple[_Client, str]:
        address = self._address
        context = _trusting(address.ca_file)
        client = _Client(address.host, address.port, ssl_context=context, timeout=address.timeout_seconds)
        try:
            self._sign_in(client)
            kind, _ = client.select(_quoted(address.folder))
            if kind != "OK":
                raise CallRefused(f"{address.host}: there is no folder {address.folder}")
            numbering = max(_numbers(client.response("UIDVALIDITY")[1]), default=0)
        except (ChannelError, imaplib.IMAP4.error, OSError, ValueError):
            client.shutdown()
            raise
        return client, str(numbering)

    def _sign_in(self, client: _Client) -> None:
        address, password = self._address, self._address.password.get_secret_value()
        _quoted(password)  # refused where it would not arrive whole; the client quotes it itself
        try:
            client.login(_quoted(address.user), password)
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error as error:
            if any(code in str(error).upper() for code in NOT_NOW):
                raise Unavailable(f"{address.host}: no sign-in now") from None
            raise SignInRequired(f"{address.host} refuses user {address.user}: is the password right?") from None

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        with suppress(OSError):
            client.socket().shutdown(socket.SHUT_RDWR)  # wakes a thread that still reads; closing would wait for it
        client.shutdown()


def _trusting(ca_file: str | None) -> ssl.SSLContext:
    """Certificates are checked, and the host's name in them: against the system's CAs, or those of one file."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise SignInRequired(f"ca_file {ca_file}: {type(error).__name__}") from None


def _quoted(text: str) -> str:
    """A quoted string of the protocol. Raises CallRefused for what none can hold."""
    if not text.isascii() or not text.isprintable():
        raise CallRefused("only printable ASCII can be told to a mail server")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _accepted(what: str, kind: str, data: Iterable[Any]) -> list[Any]:
    if kind != "OK":
        raise Unavailable(f"{what}: the mail server says no")
    return [part for part in data if part]


def _numbers(data: Iterable[Any]) -> set[int]:
    """Raises BrokenAnswer for what is no list of numbers."""
    words = [word for part in data if isinstance(part, bytes) for word in part.split()]
    if not all(word.isdigit() and len(word) <= 10 for word in words):
        raise BrokenAnswer("no list of numbers from the mail server")
    return {int(word) for word in words}
