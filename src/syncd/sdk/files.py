"""Remote folders as file channels see them: list, read, write under a temporary name, rename, remove.

`RemoteFiles` is the seam: SFTP in production, a folder in memory in tests. Errors are `ChannelError`s.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pydantic import SecretStr


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file in a listing: its name without folder, size in bytes and time of change."""

    name: str
    size: int
    modified_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesAddress:
    """Where a shop's files lie, and as whom. `known_hosts` is compulsory: an unknown host key is refused."""

    host: str
    port: int
    user: str
    password: SecretStr | None = None
    client_key: SecretStr | None = None
    known_hosts: str
    timeout_seconds: float = 30.0


class RemoteFiles(ABC):
    """One session with a file server. Paths use `/`. One session a shop; opened at the first call."""

    @abstractmethod
    async def list_files(self, folder: str) -> Sequence[RemoteFile]:
        """Plain files of a folder, by name. Raises `CallRefused` when there is no such folder."""

    @abstractmethod
    async def read(self, path: str, *, max_bytes: int) -> bytes:
        """A whole file. Raises BrokenAnswer when it is larger, FileNotFoundError when it is not there."""

    @abstractmethod
    async def write(self, path: str, content: bytes) -> None:
        """Write and close. An existing file is replaced. InDoubt when the outcome is unknown."""

    @abstractmethod
    async def rename(self, source: str, target: str) -> None:
        """Move a file, replacing the target. FileNotFoundError when the source is not there."""

    @abstractmethod
    async def remove(self, path: str) -> None:
        """Delete a file. FileNotFoundError when it is not there."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close the session."""


class FilesOpener(Protocol):
    """Opens a shop's session with a file server."""

    def __call__(self, address: FilesAddress) -> RemoteFiles: ...
