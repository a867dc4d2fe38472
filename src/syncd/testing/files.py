"""File servers for emulators: a tree of folders in memory or on disk, and a session with it under scripted faults.

The tree is the server's side: synchronous, used by the emulator itself. `MemoryFiles` is the client's side, a
`RemoteFiles` that answers like a real server: it loses connections, hangs, cuts files off, and refuses a dead key.
Operations in a fault script are `list`, `read`, `write`, `rename` and `remove`.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TypeVar

import anyio

from syncd.sdk.errors import BrokenAnswer, CallRefused, InDoubt, SignInRequired, Throttled, Unavailable
from syncd.sdk.files import FilesAddress, RemoteFile, RemoteFiles
from syncd.testing.emulator import Emulator, Fault, FaultKind

T = TypeVar("T")
Saw = Callable[[str, str], None]

PAGE = b"<html><body>Only a moment, please</body></html>"


class NoFolder(Exception):
    """There is no folder of that name."""


class Tree(ABC):
    """Folders of plain files. Times of change are whole seconds, as SFTP tells them."""

    @abstractmethod
    def list_files(self, folder: str) -> list[RemoteFile]:
        """Plain files by name. Raises NoFolder."""

    @abstractmethod
    def read(self, path: str) -> bytes:
        """A whole file. Raises FileNotFoundError."""

    @abstractmethod
    def write(self, path: str, content: bytes) -> None:
        """Create or replace a file. Raises NoFolder."""

    @abstractmethod
    def rename(self, source: str, target: str) -> None:
        """Move a file, replacing the target; its time of change stays. Raises FileNotFoundError or NoFolder."""

    @abstractmethod
    def remove(self, path: str) -> None:
        """Delete a file. Raises FileNotFoundError."""

    def names(self, folder: str) -> list[str]:
        return [file.name for file in self.list_files(folder)]


class MemoryTree(Tree):
    """Folders in memory; `now` stamps what is written."""

    def __init__(self, now: Callable[[], datetime], folders: Iterable[str]) -> None:
        self._now = now
        self._folders: dict[str, dict[str, tuple[bytes, datetime]]] = {folder: {} for folder in folders}

    def list_files(self, folder: str) -> list[RemoteFile]:
        files = self._folder(folder)
        return [RemoteFile(name, len(content), at) for name, (content, at) in sorted(files.items())]

    def read(self, path: str) -> bytes:
        return self._at(path)[0]

    def write(self, path: str, content: bytes) -> None:
        folder, name = split(path)
        self._folder(folder)[name] = (content, self._now().replace(microsecond=0))

    def rename(self, source: str, target: str) -> None:
        held = self._at(source)
        folder, name = split(target)
        self._folder(folder)[name] = held
        if source != target:
            self.remove(source)

    def remove(self, path: str) -> None:
        self._at(path)
        folder, name = split(path)
        del self._folders[folder][name]

    def _folder(self, folder: str) -> dict[str, tuple[bytes, datetime]]:
        try:
            return self._folders[folder.strip("/")]
        except KeyError:
            raise NoFolder(folder) from None

    def _at(self, path: str) -> tuple[bytes, datetime]:
        folder, name = split(path)
        try:
            return self._folders[folder][name]
        except KeyError:
            raise FileNotFoundError(path) from None


class DiskTree(Tree):
    """The same over a real directory, for a real server over it."""

    def __init__(self, root: Path, folders: Iterable[str]) -> None:
        self.root = root
        for folder in folders:
            (root / folder).mkdir(parents=True, exist_ok=True)

    def list_files(self, folder: str) -> list[RemoteFile]:
        try:
            entries = sorted((entry for entry in os.scandir(self._of(folder)) if entry.is_file()), key=lambda e: e.name)
        except FileNotFoundError:
            raise NoFolder(folder) from None
        return [_on_disk(entry.name, entry.stat()) for entry in entries]

    def read(self, path: str) -> bytes:
        return self._of(path).read_bytes()

    def write(self, path: str, content: bytes) -> None:
        try:
            self._of(path).write_bytes(content)
        except FileNotFoundError:
            raise NoFolder(path) from None

    def rename(self, source: str, target: str) -> None:
        self._of(source).replace(self._of(target))

    def remove(self, path: str) -> None:
        self._of(path).unlink()

    def _of(self, path: str) -> Path:
        return self.root / path.strip("/")


def split(path: str) -> tuple[str, str]:
    """Folder and name of a path; slashes at the ends do not matter."""
    pure = PurePosixPath(path.strip("/"))
    return ("" if str(pure.parent) == "." else str(pure.parent)), pure.name


def _on_disk(name: str, stat: os.stat_result) -> RemoteFile:
    return RemoteFile(name, stat.st_size, datetime.fromtimestamp(int(stat.st_mtime), UTC))


class MemoryFiles(RemoteFiles):
    """One session with an emulator's tree. `saw(operation, path)` tells the emulator what the session did."""

    def __init__(self, tree: Tree, address: FilesAddress, emulator: Emulator, saw: Saw) -> None:
        self._tree = tree
        self._address = address
        self._emulator = emulator
        self._saw = saw
        self._cut_off = False

    async def list_files(self, folder: str) -> Sequence[RemoteFile]:
        def listed() -> list[RemoteFile]:
            try:
                return self._tree.list_files(folder)
            except NoFolder:
                raise CallRefused(f"there is no folder {folder}") from None

        return await self._call("list", folder, listed, effect=False)

    async def read(self, path: str, *, max_bytes: int) -> bytes:
        content = await self._call("read", path, lambda: self._tree.read(path), effect=False)
        if len(content) > max_bytes:
            raise BrokenAnswer(f"{path} is larger than {max_bytes} bytes")
        return content

    async def write(self, path: str, content: bytes) -> None:
        await self._call("write", path, lambda: self._write(path, content), effect=True)
        if self._cut_off:  # a disk that is full, a server that closes early: no error, half a file
            self._cut_off = False
            self._write(path, content[: len(content) // 2])

    async def rename(self, source: str, target: str) -> None:
        await self._call("rename", target, lambda: self._tree.rename(source, target), effect=True)

    async def remove(self, path: str) -> None:
        await self._call("remove", path, lambda: self._tree.remove(path), effect=True)

    async def aclose(self) -> None:
        return None

    def _write(self, path: str, content: bytes) -> None:
        try:
            self._tree.write(path, content)
        except NoFolder:
            raise Unavailable(f"write {path}: there is no such folder") from None

    async def _call(self, operation: str, path: str, work: Callable[[], T], *, effect: bool) -> T:
        lost = InDoubt if effect else Unavailable
        emulator = self._emulator
        emulator.called(operation)
        fault = emulator.faults.take(operation)
        try:
            with emulator.clock.limit(self._address.timeout_seconds):
                await anyio.lowlevel.checkpoint()
                if emulator.round_trip_seconds:
                    await emulator.clock.sleep(emulator.round_trip_seconds / 2)
                if fault is not None and fault.kind is FaultKind.LATENCY:
                    await emulator.clock.sleep(fault.seconds)
                self._refuse(operation, fault, lost)
                emulator.settle()
                answer = work()
                self._saw(operation, path)
                if emulator.round_trip_seconds:
                    await emulator.clock.sleep(emulator.round_trip_seconds / 2)
        except TimeoutError:
            raise lost(f"{operation} {path}: time-out") from None
        return self._spoiled(operation, fault, answer, lost)

    def _refuse(self, operation: str, fault: Fault | None, lost: type[InDoubt | Unavailable]) -> None:
        if not self._emulator.key_works:
            raise SignInRequired(f"{self._address.host} refuses user {self._address.user}")
        if self._emulator.maintenance:
            raise Unavailable(f"{self._address.host}: connection refused")
        if fault is None:
            return
        if fault.kind is FaultKind.STATUS and fault.status == 429:
            raise Throttled(f"{operation}: too many sessions", after_seconds=fault.retry_after)
        if fault.kind is FaultKind.STATUS:
            raise Unavailable(f"{operation}: the server says no")
        if fault.kind is FaultKind.LOST_BEFORE:
            raise lost(f"{operation}: connection lost")
        if fault.kind is FaultKind.GARBAGE and operation != "read":
            raise BrokenAnswer(f"{operation}: not an SFTP answer")

    def _spoiled(self, operation: str, fault: Fault | None, answer: T, lost: type[InDoubt | Unavailable]) -> T:
        """What a fault makes of a good answer."""
        if fault is None or fault.kind in (FaultKind.LATENCY, FaultKind.STATUS):
            return answer
        if operation == "write" and fault.kind is FaultKind.CUT_OFF:
            self._cut_off = True
            return answer
        if operation == "read" and isinstance(answer, bytes):
            if fault.kind in (FaultKind.GARBAGE, FaultKind.GARBAGE_AFTER):
                return PAGE  # type: ignore[return-value]  # T is bytes here
            if fault.kind is FaultKind.CUT_OFF:
                return answer[: len(answer) // 2]  # type: ignore[return-value]  # T is bytes here
        if fault.kind is FaultKind.GARBAGE_AFTER or (fault.kind is FaultKind.CUT_OFF and operation == "list"):
            raise BrokenAnswer(f"{operation}: not an SFTP answer")
        raise lost(f"{operation}: connection lost")
