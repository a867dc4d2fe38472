"""A real SFTP server over a local folder, on a loopback port: for the demo and for tests marked `real`.

`cut` makes it hang up in the middle of an operation; `watch` is told of every operation, so that an emulator
over the same folder knows what a session has seen.
"""

from __future__ import annotations

import asyncio
import errno
import hmac
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import asyncssh
from pydantic import SecretStr

from syncd.sdk.files import FilesAddress

LOOPBACK = "127.0.0.1"
Watch = Callable[[str, str], None]


class LocalSftpServer:
    """Serves one folder to one user. An async context manager; `address()` is how a channel reaches it."""

    def __init__(
        self,
        folder: Path,
        *,
        user: str = "shop",
        password: str = "loopback only",  # noqa: S107  # a server on loopback over a throw-away folder
        client_key: asyncssh.SSHKey | None = None,
        posix_rename: bool = True,
    ) -> None:
        self.folder = folder
        self.user = user
        self.password = password
        self.client_key = client_key
        self.posix_rename = posix_rename
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.watch: list[Watch] = []
        self.cuts: dict[str, str] = {}
        self.sign_ins = 0
        self.port = 0
        self.connections: set[asyncssh.SSHServerConnection] = set()
        self._listener: asyncssh.SSHAcceptor | None = None

    async def __aenter__(self) -> LocalSftpServer:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen; on the port of the first start when started again, with the host key of now."""
        self._listener = await asyncssh.listen(
            LOOPBACK,
            self.port,
            server_factory=lambda: _Door(self),
            sftp_factory=lambda channel: _Folder(self, channel),
            server_host_keys=[self.host_key],
            config=[],
        )
        self.port = self._listener.get_port()

    async def stop(self) -> None:
        """Close the port and hang up on everybody."""
        if self._listener is not None:
            self._listener.close()
            await self._listener.wait_closed()
            self._listener = None
        self.hang_up()
        await asyncio.sleep(0)

    def hang_up(self) -> None:
        """Drop every session without a word."""
        for connection in tuple(self.connections):
            connection.abort()

    def cut(self, operation: str, when: str) -> None:
        """Hang up once at `list`, `read`, `write`, `rename` or `remove`, `before` or `after` its effect."""
        self.cuts[operation] = when

    @property
    def known_hosts(self) -> str:
        """The line a client must hold."""
        return f"[{LOOPBACK}]:{self.port} {self.host_key.export_public_key().decode().strip()}"

    def address(self, *, timeout_seconds: float = 10.0, **other: Any) -> FilesAddress:
        """How a channel reaches this server; name a field to get it wrong."""
        fields: dict[str, Any] = {
            "host": LOOPBACK,
            "port": self.port,
            "user": self.user,
            "password": SecretStr(self.password),
            "known_hosts": self.known_hosts,
        }
        return FilesAddress(**{**fields, **other}, timeout_seconds=timeout_seconds)

    def saw(self, operation: str, path: str) -> None:
        for watch in self.watch:
            watch(operation, path)


class _Door(asyncssh.SSHServer):
    """Lets in the one user by password or key."""

    def __init__(self, server: LocalSftpServer) -> None:
        self._server = server

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._server.connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self._connection)

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        self._server.sign_ins += 1
        same = hmac.compare_digest(password.encode(), self._server.password.encode())
        return username == self._server.user and same

    def public_key_auth_supported(self) -> bool:
        return self._server.client_key is not None

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        wanted = self._server.client_key
        return username == self._server.user and wanted is not None and key == wanted.convert_to_public()


class _Folder(asyncssh.SFTPServer):
    """The served folder. Operations are told to the watchers after their effect."""

    def __init__(self, server: LocalSftpServer, channel: asyncssh.SSHServerChannel[bytes]) -> None:
        super().__init__(channel, chroot=os.fsencode(server.folder))
        self._server = server
        self._open: dict[int, tuple[str, str]] = {}

    def _cut(self, operation: str, when: str) -> None:
        if self._server.cuts.get(operation) == when:
            del self._server.cuts[operation]
            self.connection.abort()
            raise ConnectionAbortedError(errno.ECONNABORTED, "cut")

    def _done(self, operation: str, path: bytes) -> None:
        self._server.saw(operation, os.fsdecode(path).lstrip("/"))
        self._cut(operation, "after")

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        self._cut("list", "before")
        async for name in super().scandir(path):
            yield name
        self._done("list", path)

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        operation = "write" if pflags & asyncssh.FXF_WRITE else "read"
        self._cut(operation, "before")
        file = super().open(path, pflags, attrs)
        self._open[id(file)] = (operation, os.fsdecode(path))
        return file

    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        if self._server.cuts.get("write") == "middle":
            super().write(file_obj, offset, data[: len(data) // 2])
            self._cut("write", "middle")
        return int(super().write(file_obj, offset, data))  # type: ignore[arg-type]  # the base may be awaitable in others

    def close(self, file_obj: object) -> None:
        super().close(file_obj)
        operation, path = self._open.pop(id(file_obj), ("read", ""))
        self._done(operation, os.fsencode(path))

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        if not self._server.posix_rename:
            raise asyncssh.SFTPOpUnsupported("posix-rename is not offered here")
        self._cut("rename", "before")
        super().posix_rename(oldpath, newpath)
        self._done("rename", newpath)

    def remove(self, path: bytes) -> None:
        self._cut("remove", "before")
        super().remove(path)
        self._done("remove", path)
