"""Listing a remote folder, with a missing folder told as what it is: a fault of the set-up, not of a row."""

from __future__ import annotations

from collections.abc import Sequence

from syncd.sdk.errors import CallRefused, Unavailable
from syncd.sdk.files import RemoteFile, RemoteFiles


async def listed(files: RemoteFiles, folder: str) -> Sequence[RemoteFile]:
    """Plain files of a folder. Raises Unavailable when there is none: the core must not bisect rows over it."""
    try:
        return await files.list_files(folder)
    except CallRefused as error:
        raise Unavailable(str(error)) from None
