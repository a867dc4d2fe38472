"""What a channel raises, classed by what to do next.

    ChannelError
    ├── TryAgain              nothing changed at the shop; the core repeats it later
    │   ├── Throttled         too fast; `after_seconds` if the shop said so
    │   └── Unavailable       5xx, refused connection, time-out of a read
    ├── InDoubt               a write that may have been applied; the core reads back, never just repeats
    ├── CallRefused           a whole write refused, nothing applied, no row named; the core bisects
    ├── SignInRequired        key dead or expired; the shop pauses, a person is told, the outbox is kept
    ├── Closed                maintenance, until a time if known
    └── BrokenAnswer          an answer that cannot be believed; a write is in doubt, an order cursor stays

A refused row is not raised: it stands in the `WriteReport`. Anything else a plugin raises is a bug in the
plugin: logged once, and the shop is restarted with back-off.
"""

from __future__ import annotations

from datetime import datetime


class ChannelError(Exception):
    """Base of everything a channel may raise. The text reaches operators: no secret and no buyer in it."""


class TryAgain(ChannelError):
    """Nothing changed at the shop; the same call may be made again later."""


class Throttled(TryAgain):
    """The shop refused for speed. Nothing changed."""

    def __init__(self, message: str = "throttled", *, after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.after_seconds = after_seconds


class Unavailable(TryAgain):
    """The shop could not be reached or failed in a way that changed nothing."""


class InDoubt(ChannelError):
    """A write was sent and its outcome is unknown."""


class CallRefused(ChannelError):
    """A write call was refused as a whole, nothing of it applied, and the answer names no row."""


class SignInRequired(ChannelError):
    """The shop no longer takes our key. Raised again for every call until a person renews it."""


class Closed(ChannelError):
    """The shop is in maintenance; nothing changed."""

    def __init__(self, message: str = "maintenance", *, until: datetime | None = None) -> None:
        super().__init__(message)
        self.until = until


class BrokenAnswer(ChannelError):
    """The answer is not what the channel documents: HTML for JSON, a missing field, a wrong encoding."""
