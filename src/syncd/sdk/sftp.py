"""SFTP behind `RemoteFiles`: one session a shop, opened at the first call and again after a loss.

The host key must stand in `known_hosts`; nothing is ever trusted at first sight. A missing, unknown or changed key
is `SignInRequired` whose text names the fingerprint to approve. After a refused sign-in the server is left alone
for 15 minutes, since malls lock accounts that knock too often. Every call ends within the address's time limit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import anyio
import asyncssh

from syncd.clock import Clock
from syncd.sdk.errors import BrokenAnswer, CallRefused, ChannelError, InDoubt, SignInRequired, Unavailable
from syncd.sdk.files import FilesAddress, FilesOpener, RemoteFile, RemoteFiles

T = TypeVar("T")

SIGN_IN_PAUSE_SECONDS = 900.0
REGULAR, UNKNOWN_TYPE = 1, 5  # types of the SFTP attributes; old servers tell none

_LOST = (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, asyncssh.DisconnectError, OSError)
_MISSING = (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath)


def sftp_opener(clock: Clock) -> FilesOpener:
    """The opener for production: `ShopContext.files`."""

    def opened(address: FilesAddress) -> RemoteFiles:
        return SftpFiles(address, clock)

    return opened


def known_hosts_of(address: FilesAddress) -> asyncssh.SSHKnownHosts:
    """The trusted keys of an address: a path, a line as in `known_hosts`, or a bare `ssh-ed25519 AAAA…`.

    Raises SignInRequired when there is no such file or it holds no key.
    """
    text = address.known_hosts.strip()
    if not text:
        raise SignInRequired(f"{address.host}: known_hosts is empty; name a file or paste the server's line")
    if len(text.split()) == 1:
        try:
            text = Path(text).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SignInRequired(f"known_hosts {address.known_hosts}: {type(error).__name__}") from None
    elif text.startswith(("ssh-", "ecdsa-", "sk-")):
        text = f"[{address.host}]:{address.port} {text}"
    if not text.endswith("\n"):
        text += "\n"
    try:
        return asyncssh.import_known_hosts(text)
    except ValueError as error:
        raise SignInRequired(f"known_hosts of {address.host} cannot be read: {error}") from None


class _Watcher(asyncssh.SSHClient):
    """Keeps the fingerprint of a key that was not trusted, and notices the end of the session."""

    def __init__(self) -> None:
        self.fingerprint = ""
        self.ended = False

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self.fingerprint = f"{key.get_algorithm()} {key.get_fingerprint()}"
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True


class SftpFiles(RemoteFiles):
    """One session with an SFTP server. Calls of several loops share it; a lost session is opened again."""

    def __init__(self, address: FilesAddress, clock: Clock) -> None:
        self._address = address
        self._clock = clock
        self._opening = anyio.Lock()
        self._connection: asyncssh.SSHClientConnection | None = None
        self._sftp: asyncssh.SFTPClient | None = None
        self._watcher = _Watcher()
        self._refused: tuple[float, str] | None = None  # when a sign-in was refused last, and how

    async def list_files(self, folder: str) -> Sequence[RemoteFile]:
        async def work(sftp: asyncssh.SFTPClient) -> list[RemoteFile]:
            names = await sftp.readdir(folder)
            return sorted((_remote_file(name) for name in names if _is_plain(name)), key=lambda file: file.name)

        try:
            return await self._run(f"list {folder}", work, effect=False)
        except FileNotFoundError:
            raise CallRefused(f"there is no folder {folder} on {self._address.host}") from None

    async def read(self, path: str, *, max_bytes: int) -> bytes:
        async def work(sftp: asyncssh.SFTPClient) -> bytes:
            async with sftp.open(path, "rb") as file:
                content = await file.read(max_bytes + 1)
                return content.encode() if isinstance(content, str) else content

        content = await self._run(f"read {path}", work, effect=False)
        if len(content) > max_bytes:
            raise BrokenAnswer(f"{path} is larger than {max_bytes} bytes")
        return content

    async def write(self, path: str, content: bytes) -> None:
        async def work(sftp: asyncssh.SFTPClient) -> None:
            file = await sftp.open(path, "wb")
            try:
                await file.write(content)
                await file.close()
            except asyncssh.SFTPError as error:  # part of it may lie there, also when the server says no
                raise InDoubt(f"write {path}: {type(error).__name__}") from None

        try:
            await self._run(f"write {path}", work, effect=True)
        except FileNotFoundError:
            raise Unavailable(f"write {path}: there is no such folder") from None

    async def rename(self, source: str, target: str) -> None:
        async def work(sftp: asyncssh.SFTPClient) -> None:
            try:
                await sftp.posix_rename(source, target)
            except asyncssh.SFTPOpUnsupported:
                await _plain_rename(sftp, source, target)

        await self._run(f"rename {source}", work, effect=True)

    async def remove(self, path: str) -> None:
        await self._run(f"remove {path}", lambda sftp: sftp.remove(path), effect=True)

    async def aclose(self) -> None:
        connection, self._connection, self._sftp = self._connection, None, None
        if connection is None:
            return
        connection.close()
        with anyio.move_on_after(self._address.timeout_seconds, shield=True):
            await connection.wait_closed()

    # -- the session ---------------------------------------------------------------------------------------

    async def _run(self, what: str, work: Callable[[asyncssh.SFTPClient], Awaitable[T]], *, effect: bool) -> T:
        sftp = await self._session()
        try:
            with self._clock.limit(self._address.timeout_seconds):
                return await work(sftp)
        except _MISSING:
            raise FileNotFoundError(what) from None
        except _LOST as error:
            self._drop()
            raise (InDoubt if effect else Unavailable)(f"{what}: {type(error).__name__}") from None
        except asyncssh.SFTPError as error:  # the server's own no: nothing changed
            raise Unavailable(f"{what}: {type(error).__name__} {error.reason[:200]}") from None

    async def _session(self) -> asyncssh.SFTPClient:
        async with self._opening:
            if self._sftp is not None and not self._watcher.ended:
                return self._sftp
            self._drop()
            if self._refused is not None:
                since, why = self._refused
                if self._clock.monotonic() - since < SIGN_IN_PAUSE_SECONDS:
                    raise SignInRequired(why)
            try:
                with self._clock.limit(self._address.timeout_seconds):
                    self._sftp = await self._open()
            except ChannelError:
                raise
            except (asyncssh.Error, OSError) as error:
                self._raise_classed(error)
            return self._sftp

    async def _open(self) -> asyncssh.SFTPClient:
        address, self._watcher = self._address, _Watcher()
        connection = await asyncssh.connect(
            address.host,
            address.port,
            username=address.user,
            client_factory=lambda: self._watcher,
            known_hosts=known_hosts_of(address),
            config=None,  # nothing of the daemon user's own ~/.ssh takes part
            agent_path=None,
            gss_host=None,
            **_credentials(address),
        )
        self._connection, self._refused = connection, None
        return await connection.start_sftp_client(path_encoding="utf-8", path_errors="surrogateescape")

    def _raise_classed(self, error: Exception) -> NoReturn:
        host = f"{self._address.host}:{self._address.port}"
        seen = self._watcher.fingerprint
        self._drop()
        if isinstance(error, asyncssh.HostKeyNotVerifiable):
            raise SignInRequired(
                f"{host} shows a host key that known_hosts does not name: {seen or 'revoked'}. Compare it with the"
                " operator of the server, then add its line to known_hosts"
            ) from None
        if isinstance(error, asyncssh.KeyExchangeFailed):
            raise SignInRequired(f"{host} offers no host key of a kind that known_hosts names for it") from None
        if isinstance(error, asyncssh.PermissionDenied):
            why = f"{host} refuses user {self._address.user}: password or key expired, or this address is not allowed"
            self._refused = (self._clock.monotonic(), why)
            raise SignInRequired(why) from None
        raise Unavailable(f"{host}: {type(error).__name__}") from None

    def _drop(self) -> None:
        connection, self._connection, self._sftp = self._connection, None, None
        if connection is not None:
            connection.abort()


async def _plain_rename(sftp: asyncssh.SFTPClient, source: str, target: str) -> None:
    """Rename on a server without `posix-rename@openssh.com`: the target has to be removed first."""
    try:
        await sftp.rename(source, target)
    except (asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists):
        await sftp.lstat(source)  # missing: say so before anything is removed
        await sftp.remove(target)
        await sftp.rename(source, target)


def _credentials(address: FilesAddress) -> dict[str, Any]:
    keys = None
    if address.client_key is not None:
        try:
            keys = [asyncssh.import_private_key(address.client_key.get_secret_value())]
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
            raise SignInRequired("client_key is no private key, or it needs a passphrase") from None
    password = None if address.password is None else address.password.get_secret_value()
    return {"client_keys": keys, "password": password}


def _is_plain(name: asyncssh.SFTPName) -> bool:
    kind = name.attrs.type
    if kind == UNKNOWN_TYPE:
        return str(name.filename) not in (".", "..") and not str(name.longname or "").startswith("d")
    return kind == REGULAR


def _remote_file(name: asyncssh.SFTPName) -> RemoteFile:
    modified_at = datetime.fromtimestamp(name.attrs.mtime or 0, UTC)
    return RemoteFile(str(name.filename), name.attrs.size or 0, modified_at)
