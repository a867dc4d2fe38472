"""Stock out: one file at a time into the shop's mailbox, and what becomes of it.

A file is written under a temporary name, its size compared, and then renamed: only the rename can be in doubt, all
before it changes nothing at the shop. While the mailbox is busy nothing is sent; the core keeps the newest numbers
and calls again, so that a newer number replaces an older one before it is ever written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from syncd.clock import Clock
from syncd.model import to_us
from syncd.sdk.channel import Accepted, Pending, Reason, Rejected, StockWrite, WriteReport
from syncd.sdk.errors import BrokenAnswer, ChannelError, InDoubt, Throttled, TryAgain, Unavailable
from syncd.sdk.files import RemoteFile, RemoteFiles
from syncd_files.folders import listed
from syncd_files.rhythm import Rhythm
from syncd_files.settings import Done, ResultSettings, StockSettings, WaitWhile
from syncd_files.stock import (
    Receipt,
    Refused,
    build,
    file_name,
    is_leftover,
    is_ours,
    is_result_of,
    outcomes,
    read_results,
)
from syncd_files.wire import BadTable

MAX_RESULT_BYTES = 8 * 1024 * 1024
Upload = tuple[str, int]  # file name and the server's time of it


class Outgoing:
    """The shop's mailbox for stock files. Remembers, over its life only, what lies there and when it went."""

    def __init__(self, settings: StockSettings, files: RemoteFiles, clock: Clock) -> None:
        self._settings = settings
        self._files = files
        self._clock = clock
        self._last: Upload | None = None
        self._gone_since: dict[Upload, float] = {}
        self._rhythm = Rhythm(settings.ask_again_seconds)

    # -- sending -------------------------------------------------------------------------------------------

    async def write(self, rows: Sequence[StockWrite]) -> WriteReport:
        """Put one file down. Raises InDoubt when the last step is unknown.

        While the mailbox is busy it raises Throttled, which only waits; once a file lies there for too long it
        raises TryAgain, which counts as a failure and so becomes an alarm.
        """
        settings = self._settings
        file = build(settings, rows[: settings.max_rows])
        if not file.order:
            return WriteReport(file.rejected)
        lying = await listed(self._files, settings.folder)
        self._wait_while_busy(lying)
        name = file_name(settings, self._clock.now(), [one.name for one in lying])
        await self._clear_leftovers(lying, keep=name + settings.temporary_suffix)
        stamp_us = await self._put(name, file.content)
        self._rhythm.put(self._clock.monotonic())
        self._last = (name, stamp_us)
        if settings.done is Done.UPLOADED:
            return WriteReport((*file.rejected, *(Accepted(index) for index in file.order)))
        pending = (
            Pending(index, str(Receipt(name, row, stamp_us, rows[index].listing)))
            for row, index in enumerate(file.order, start=1)
        )
        return WriteReport((*file.rejected, *pending))

    def _wait_while_busy(self, lying: Sequence[RemoteFile]) -> None:
        settings = self._settings
        if settings.wait_while is WaitWhile.NEVER:
            return
        blocking = [file for file in lying if not is_leftover(settings, file.name)]
        if settings.wait_while is WaitWhile.SAME_NAME:
            blocking = [file for file in blocking if is_ours(settings, file.name)]
        now = self._clock.monotonic()
        if not blocking:
            self._rhythm.gone(now)
            return
        oldest = min(blocking, key=lambda file: file.modified_at)
        if self._is_stuck(oldest):
            raise TryAgain(self._lies_there(oldest))
        raise Throttled(self._lies_there(oldest), after_seconds=self._rhythm.pause(now))

    def _is_stuck(self, file: RemoteFile) -> bool:
        return self._clock.now() - file.modified_at > timedelta(seconds=self._settings.give_up_after_seconds)

    def _lies_there(self, file: RemoteFile) -> str:
        text = f"{self._settings.folder}/{file.name} has not been taken in by the shop yet"
        if not self._is_stuck(file):
            return text
        minutes = (self._clock.now() - file.modified_at) // timedelta(minutes=1)
        return f"{text}; it lies there for {minutes} min: is the shop's import stuck?"

    async def _clear_leftovers(self, lying: Sequence[RemoteFile], *, keep: str) -> None:
        """Remove what a crash left between write and rename; only under names that we give."""
        for file in lying:
            if file.name == keep or not is_leftover(self._settings, file.name):
                continue
            try:
                await self._files.remove(self._path(file.name))
            except FileNotFoundError:
                continue
            except InDoubt as error:
                raise Unavailable(str(error)) from None

    async def _put(self, name: str, content: bytes) -> int:
        """Write, compare the size, rename. Returns the server's own time of the file."""
        if not self._settings.temporary_suffix:
            began = self._now()
            await self._files.write(self._path(name), content)
            try:
                found = await self._found(name) or await self._taken(name)
            except ChannelError as error:
                raise InDoubt(f"{name} was written, then: {error}") from None
            if found is not None and found.size != len(content):
                raise InDoubt(f"the server holds {found.size} of {len(content)} bytes of {name}")
            return to_us(found.modified_at if found is not None else began)
        temporary = name + self._settings.temporary_suffix
        try:
            await self._files.write(self._path(temporary), content)
        except InDoubt as error:  # the shop does not import temporary names: nothing changed
            raise Unavailable(str(error)) from None
        found = await self._found(temporary)
        if found is None:
            raise Unavailable(f"{temporary} was written and is not there")
        if found.size != len(content):
            raise BrokenAnswer(f"the server holds {found.size} of {len(content)} bytes of {temporary}")
        try:
            await self._files.rename(self._path(temporary), self._path(name))
        except FileNotFoundError:
            raise Unavailable(f"{temporary} was taken away before it was renamed") from None
        return to_us(found.modified_at)

    async def _found(self, name: str) -> RemoteFile | None:
        return _named(await listed(self._files, self._settings.folder), name)

    async def _taken(self, name: str) -> RemoteFile | None:
        """The newest file of that name in the folders where the shop moves what it took in or refused."""
        folders = [self._settings.processed_folder, self._settings.error_folder]
        moved = [file for folder in folders if folder is not None for file in await self._moved(folder, name)]
        return max(moved, key=lambda file: file.modified_at, default=None)

    async def _moved(self, folder: str, name: str) -> list[RemoteFile]:
        """Files of a folder under a name or one that holds it."""
        stem, _, extension = name.rpartition(".")
        return [file for file in await listed(self._files, folder) if (stem or extension) in file.name]

    def _path(self, name: str) -> str:
        return f"{self._settings.folder}/{name}"

    def _now(self) -> datetime:
        return self._clock.now().replace(microsecond=0)

    # -- results -------------------------------------------------------------------------------------------

    async def collect(self, receipts: Sequence[str]) -> Mapping[str, Accepted | Rejected]:
        """The rows whose file has been taken in or refused. Raises TryAgain as an alarm for a file that lies long."""
        asked = {text: Receipt.parse(text) for text in receipts}
        uploads = sorted({(receipt.file, receipt.stamp_us) for receipt in asked.values()})
        newest = dict(sorted([*uploads, *([self._last] if self._last is not None else [])]))
        lying = await listed(self._files, self._settings.folder)
        told: dict[str, Accepted | Rejected] = {}
        stuck = ""
        for upload in uploads:
            newer = newest[upload[0]] if newest[upload[0]] > upload[1] else None
            held = _held(upload, lying, newer)
            if held is not None:
                stuck = stuck or (self._lies_there(held) if self._is_stuck(held) else "")
                continue
            mine = {text: receipt for text, receipt in asked.items() if (receipt.file, receipt.stamp_us) == upload}
            told |= await self._outcomes(upload, mine, lying, newer)
        if stuck and not told:
            raise TryAgain(stuck)
        return told

    async def _outcomes(
        self, upload: Upload, mine: Mapping[str, Receipt], lying: Sequence[RemoteFile], newer: int | None
    ) -> dict[str, Accepted | Rejected]:
        settings = self._settings
        if settings.error_folder is not None and await self._moved_to(settings.error_folder, upload):
            why = f"the shop moved {upload[0]} to {settings.error_folder}"
            return {text: Rejected(receipt.row - 1, Reason.OTHER, why) for text, receipt in mine.items()}
        where = settings.processed_folder if settings.done is Done.PROCESSED else None
        if where is not None and not await self._moved_to(where, upload):
            return {}
        refused: list[Refused] = []
        if settings.results is not None:
            if not self._waited(settings.results, upload):
                return {}
            refused = await self._refused_rows(settings.results, upload, lying, newer)
        self._gone_since.pop(upload, None)
        return outcomes(mine, refused)

    def _waited(self, results: ResultSettings, upload: Upload) -> bool:
        """Whether the file has been gone for as long as the shop may take to name the rows it refused."""
        now = self._clock.monotonic()
        return now - self._gone_since.setdefault(upload, now) >= results.wait_seconds

    async def _moved_to(self, folder: str, upload: Upload) -> bool:
        """Whether a shop moved this upload there."""
        return any(to_us(file.modified_at) >= upload[1] for file in await self._moved(folder, upload[0]))

    async def _refused_rows(
        self, results: ResultSettings, upload: Upload, lying: Sequence[RemoteFile], newer: int | None
    ) -> list[Refused]:
        """Rows of the result files written for this upload: not before it, and not for a later one of that name."""
        name, stamp_us = upload
        folder = results.folder or self._settings.folder
        files = lying if results.folder is None else await listed(self._files, folder)
        refused: list[Refused] = []
        for file in files:
            written_us = to_us(file.modified_at)
            late = newer is not None and written_us >= newer
            if file.name == name or written_us < stamp_us or late or not is_result_of(results, name, file.name):
                continue
            try:
                content = await self._files.read(f"{folder}/{file.name}", max_bytes=MAX_RESULT_BYTES)
                refused += read_results(results, content)
            except FileNotFoundError:
                continue
            except BadTable as error:
                raise BrokenAnswer(f"{folder}/{file.name}: {error}; the rows of {name} stay open") from None
        return refused

    def warning(self, lying: Sequence[RemoteFile]) -> str:
        """A sentence when a file of ours lies there for too long, else nothing."""
        old = [file for file in lying if is_ours(self._settings, file.name) and self._is_stuck(file)]
        return self._lies_there(old[0]) if old else ""


def _held(upload: Upload, lying: Sequence[RemoteFile], newer: int | None) -> RemoteFile | None:
    """The file of an upload, as long as it lies there; a newer upload of that name proves that it went."""
    file = _named(lying, upload[0])
    if file is None or (newer is not None and to_us(file.modified_at) != upload[1]):
        return None
    return file


def _named(files: Sequence[RemoteFile], name: str) -> RemoteFile | None:
    return next((file for file in files if file.name == name), None)
