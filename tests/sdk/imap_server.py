"""A small IMAP server on loopback, over TLS with a CA of its own: the commands that one session uses, and no more."""

from __future__ import annotations

import asyncio
import re
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from syncd.sdk.mail import MailAddress
from syncd.testing.mail import KeptMail, MailFolder

FETCH = re.compile(r"(\d+) \(BODY\.PEEK\[(.+)\]<0\.(\d+)>\)")
SEARCH = re.compile(r'UNSEEN SINCE (\d{1,2}-[A-Z][a-z]{2}-\d{4}) FROM "(.*)"')
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


def certificate(folder: Path, host: str) -> Path:
    """A certificate that signs itself, for a host, with its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail of a test")])
    with suppress(ValueError):
        host_name: x509.GeneralName = x509.DNSName(host)
        host_name = x509.IPAddress(ip_address(host))
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([host_name]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{host}.pem"
    hidden = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + hidden)
    return path


@dataclass(slots=True)
class LocalImapServer:
    """Serves one folder. Tests set what it says wrong, and count who signed in and what was asked."""

    pem: Path
    folder: MailFolder = field(default_factory=lambda: MailFolder('pass "word" \\'))
    sign_ins: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    refuses: str = ""
    says: dict[str, bytes] = field(default_factory=dict)
    silent: bool = False
    _server: asyncio.Server | None = None
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.pem)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.hang_up()
        await self._server.wait_closed()

    def hang_up(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def address(self, **changed: object) -> MailAddress:
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        values = {
            "host": "127.0.0.1", "port": port, "user": "orders", "password": SecretStr(self.folder.password),
            "ca_file": str(self.pem), "timeout_seconds": 5.0, **changed,
        }  # fmt: skip
        return MailAddress(**values)  # type: ignore[arg-type]  # values of a test

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with suppress(ConnectionError, ssl.SSLError):
            writer.write(b"* OK ready\r\n")
            while line := (await reader.readline()).decode():
                tag, _, rest = line.rstrip("\r\n").partition(" ")
                if not self.silent:
                    writer.write(self._answer(rest).replace(b"TAG", tag.encode()))
                await writer.drain()
        writer.close()

    def _answer(self, command: str) -> bytes:
        word, _, rest = command.removeprefix("UID ").partition(" ")
        self.asked.append(command if word != "LOGIN" else "LOGIN")
        if word in self.says:
            return self.says[word]
        done = {
            "CAPABILITY": lambda _: b"* CAPABILITY IMAP4rev1\r\n",
            "LOGIN": self._login,
            "SELECT": self._select,
            "SEARCH": self._search,
            "FETCH": self._fetch,
            "STORE": self._store,
        }[word](rest)
        return done if done.startswith(b"TAG") else done + b"TAG OK done\r\n"

    def _login(self, rest: str) -> bytes:
        user, password = (re.sub(r"\\(.)", r"\1", word) for word in QUOTED.findall(rest))
        self.sign_ins.append(user)
        good = password == self.folder.password and not self.refuses
        return b"" if good else f"TAG NO {self.refuses or '[AUTHENTICATIONFAILED]'} no\r\n".encode()

    def _select(self, rest: str) -> bytes:
        if rest != '"INBOX"':
            return b"TAG NO no such folder\r\n"
        return b"* 1 EXISTS\r\n* OK [UIDVALIDITY %d] x\r\n" % self.folder.numbering

    def _search(self, rest: str) -> bytes:
        found = SEARCH.fullmatch(rest)
        if found is None:
            return b"TAG BAD what\r\n"
        since = datetime.strptime(found[1], "%d-%b-%Y").replace(tzinfo=UTC)
        numbers = [
            number
            for number, mail in self.folder.mails.items()
            if not mail.seen and mail.at.date() >= since.date() and mail.comes_from(found[2])
        ]
        return b"* SEARCH" + b"".join(b" %d" % number for number in numbers) + b"\r\n"

    def _fetch(self, rest: str) -> bytes:
        asked = FETCH.fullmatch(rest)
        if asked is None:
            return b"TAG BAD what\r\n"
        mail: KeptMail | None = self.folder.mails.get(int(asked[1]))
        if mail is None:
            return b""
        content = (mail.text if asked[2] == "TEXT" else mail.head)[: int(asked[3])]
        begun = f"* 1 FETCH (UID {asked[1]} BODY[{asked[2]}]<0> {{{len(content)}}}\r\n".encode()
        return begun + content + b")\r\n"

    def _store(self, rest: str) -> bytes:
        numbers, _, flags = rest.partition(" ")
        if flags != r"+FLAGS.SILENT (\Seen)":
            return b"TAG BAD what\r\n"
        for number in numbers.split(","):
            if mail := self.folder.mails.get(int(number)):
                mail.seen = True
        return b""
