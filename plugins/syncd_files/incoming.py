"""Orders in: whole files only, each read once, moved away only after the core has stored what they say.

The cursor holds every file that still lies there: when it was first seen unchanged, and once read, the digest of
what it said. A crash before the commit finds the old cursor and reads again; a crash after it finds the file in
the cursor and only moves it. In dry run nothing is moved and nothing is read twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from syncd.clock import Clock
from syncd.model import OrderState, from_us, to_us
from syncd.sdk.channel import Cursor, OrderPage, Problem
from syncd.sdk.errors import BrokenAnswer, InDoubt, Unavailable
from syncd.sdk.files import RemoteFile, RemoteFiles
from syncd_files.folders import listed
from syncd_files.orders import name_time, read_orders
from syncd_files.settings import AfterReading, OrderFileSettings
from syncd_files.wire import BadTable, Unfinished

FILES_A_PAGE = 20
STATES_A_PAGE = 1_000
MAX_FILES = 20_000
MAX_PROBLEMS = 50


class Verdict(StrEnum):
    """How far we are with a file."""

    WATCHED = "watched"
    TAKEN = "taken"
    BAD = "bad"  # not believed, as a whole or in part


@dataclass(frozen=True, slots=True)
class Seen:
    """A file as the cursor keeps it. `since_us` is when we first saw it with this size and time."""

    size: int
    modified_us: int
    since_us: int
    verdict: Verdict = Verdict.WATCHED
    digest: str = ""

    def same(self, file: RemoteFile) -> bool:
        return self.size == file.size and self.modified_us == to_us(file.modified_at)


@dataclass(slots=True)
class Draft:
    """A page while its files are read."""

    seen: dict[str, Seen]
    states: list[OrderState] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def mark(self, name: str, verdict: Verdict, digest: str) -> bool:
        """Settle a file. Always True."""
        self.seen[name] = replace(self.seen[name], verdict=verdict, digest=digest)
        return True

    def refuse(self, name: str, faults: Sequence[str], digest: str = "") -> bool:
        """Settle a file that is not believed, as a whole or in part, and tell why. Always True."""
        self.problems += [Problem(name, fault) for fault in faults[:MAX_PROBLEMS]]
        if len(faults) > MAX_PROBLEMS:
            self.problems.append(Problem(name, f"and {len(faults) - MAX_PROBLEMS} more"))
        return self.mark(name, Verdict.BAD, digest)


class Incoming:
    """The folder the shop writes its order files to."""

    def __init__(self, settings: OrderFileSettings, files: RemoteFiles, clock: Clock) -> None:
        self._settings = settings
        self._files = files
        self._clock = clock
        self._moved: dict[str, Seen] = {}  # put away by us, and still in the cursor
        self._clear_us = 0  # begin of our last read that left nothing unread; 0 after a start

    async def fetch(self, cursor: Cursor | None) -> OrderPage:
        began_us = self._clock.now_us()
        known = _loaded(cursor)
        lying = await self._lying()
        self._moved = {name: one for name, one in self._moved.items() if known.get(name) == one}
        page = Draft(self._looked_at(lying, known, began_us))
        more = await self._fill(page, [file for file in lying if self._is_ready(page.seen[file.name], began_us)])
        return OrderPage(
            states=tuple(page.states),
            cursor={"files": {name: asdict(one) for name, one in page.seen.items()}},
            more=more,
            seen_until=self._seen_until(page.seen, began_us),
            acknowledge=self._acknowledgement(page.seen),
            problems=tuple(page.problems),
        )

    async def _fill(self, page: Draft, ready: Sequence[RemoteFile]) -> bool:
        """Read files until the page is full; whether more are ready. One that arrives broken holds up no other,
        but is raised once nothing else is left to tell.
        """
        taken, broken = 0, None
        for file in ready:
            if taken >= FILES_A_PAGE or len(page.states) >= STATES_A_PAGE:
                return True
            try:
                taken += await self._take(file, page)
            except BrokenAnswer as error:
                broken = broken or error
        if broken is not None and not taken:
            raise broken
        return broken is not None

    async def _lying(self) -> list[RemoteFile]:
        """Order files, oldest first: states of one order are then told in their order."""
        pattern = self._settings.pattern
        found = [one for one in await listed(self._files, self._settings.folder) if fnmatchcase(one.name, pattern)]
        if len(found) > MAX_FILES:
            raise BrokenAnswer(f"{len(found)} files lie in {self._settings.folder}; move the old ones away")
        return sorted(found, key=lambda file: (self._as_of(file), file.name))

    def _as_of(self, file: RemoteFile) -> datetime:
        return name_time(file.name, self._settings) or file.modified_at

    def _looked_at(self, lying: Sequence[RemoteFile], known: Mapping[str, Seen], now_us: int) -> dict[str, Seen]:
        """What the cursor will say of the files that lie there; files that are gone are forgotten.

        A file that we moved away and that lies there again is another one, whatever its size and time.
        """
        seen = {}
        for file in lying:
            before = known.get(file.name) if file.name not in self._moved else None
            if before is not None and before.same(file):
                seen[file.name] = before
            else:  # new, or changed under its old name; its digest tells a mere touch from new content
                digest = before.digest if before is not None and before.verdict is not Verdict.BAD else ""
                seen[file.name] = Seen(file.size, to_us(file.modified_at), now_us, digest=digest)
        return seen

    def _is_ready(self, seen: Seen, now_us: int) -> bool:
        if seen.verdict is not Verdict.WATCHED:
            return False
        return bool(self._settings.trailer) or now_us - seen.since_us >= self._settings.stable_seconds * 1e6

    # -- one file ------------------------------------------------------------------------------------------

    async def _take(self, file: RemoteFile, page: Draft) -> bool:
        """Read one file into the page; True when it is settled. One that cannot be believed is told, never raised."""
        watched = page.seen[file.name]
        if file.size > self._settings.max_bytes:
            return page.refuse(file.name, [f"larger than {self._settings.max_bytes} bytes"])
        try:
            content = await self._files.read(f"{self._settings.folder}/{file.name}", max_bytes=self._settings.max_bytes)
        except FileNotFoundError:
            del page.seen[file.name]
            return False
        if len(content) > file.size:  # it grows: not whole yet
            page.seen[file.name] = Seen(len(content), watched.modified_us, self._clock.now_us())
            return False
        if len(content) < file.size:
            raise BrokenAnswer(f"{file.name}: {len(content)} of {file.size} bytes arrived")
        return self._understand(file, content, page)

    def _understand(self, file: RemoteFile, content: bytes, page: Draft) -> bool:
        digest = hashlib.sha256(content).hexdigest()
        watched = page.seen[file.name]
        if digest == watched.digest:  # touched, not changed: told before
            return page.mark(file.name, Verdict.TAKEN, digest)
        try:
            told = read_orders(content, self._settings, as_of=self._as_of(file))
        except Unfinished:
            if self._clock.now_us() - watched.since_us <= self._settings.stuck_seconds * 1e6:
                return False
            return page.refuse(file.name, [f"its last row {self._settings.trailer} never came"])
        except BadTable as error:
            return page.refuse(file.name, [str(error)])
        page.states += told.states
        if told.problems:
            return page.refuse(file.name, told.problems, digest)
        return page.mark(file.name, Verdict.TAKEN, digest)

    # -- after the page ------------------------------------------------------------------------------------

    def _seen_until(self, seen: Mapping[str, Seen], began_us: int) -> datetime | None:
        """None when every file is read: the core's own rule holds. Else no further than when that last was so:
        a file that is not whole, or not believed, may hold orders of any age since.
        """
        if all(one.verdict is Verdict.TAKEN for one in seen.values()):
            self._clear_us = began_us
            return None
        bound_us = round(self._settings.visibility_seconds * 1e6)
        return from_us(max(0, self._clear_us - bound_us))

    def _acknowledgement(self, seen: Mapping[str, Seen]) -> Callable[[], Awaitable[None]] | None:
        done = {name: one for name, one in seen.items() if one.verdict is not Verdict.WATCHED}
        if not done:
            return None

        async def acknowledge() -> None:
            # Looked at again: a file that was replaced under its name since is new, and stays.
            for file in await listed(self._files, self._settings.folder):
                one = done.get(file.name)
                if one is not None and one.same(file):
                    await self._put_away(file, one)

        return acknowledge

    async def _put_away(self, file: RemoteFile, seen: Seen) -> None:
        settings = self._settings
        source = f"{settings.folder}/{file.name}"
        folder = settings.error_folder if seen.verdict is Verdict.BAD else settings.processed_folder
        try:
            if seen.verdict is Verdict.TAKEN and settings.after_reading is AfterReading.DELETE:
                await self._files.remove(source)
            else:
                await self._files.rename(source, f"{folder}/{_kept_name(file, seen)}")
            self._moved[file.name] = seen
        except FileNotFoundError:
            return
        except InDoubt as error:  # moving twice harms nothing: the next poll looks again
            raise Unavailable(str(error)) from None


def _kept_name(file: RemoteFile, seen: Seen) -> str:
    """A name that a later file of the same name does not replace: partners use names again."""
    stem, dot, extension = file.name.rpartition(".")
    mark = seen.digest[:12] or f"{seen.modified_us // 1_000_000}"
    return f"{stem}-{mark}{dot}{extension}" if dot else f"{file.name}-{mark}"


def _loaded(cursor: Cursor | None) -> dict[str, Seen]:
    files: Mapping[str, Mapping[str, Any]] = (cursor or {}).get("files", {})
    return {
        name: Seen(one["size"], one["modified_us"], one["since_us"], Verdict(one["verdict"]), one["digest"])
        for name, one in files.items()
    }
