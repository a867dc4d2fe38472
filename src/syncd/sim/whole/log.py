"""The daemon's log in a play: written as shipped, read by nobody but the watch for secrets."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from syncd.clock import Clock
from syncd.telemetry import set_up
from syncd_rakuten.emulator import LICENSE_KEY, SERVICE_SECRET
from syncd_shopify.emulator import CLIENT_SECRET, TOKEN

CANARIES = (SERVICE_SECRET, LICENSE_KEY, TOKEN, CLIENT_SECRET, "open sesame, folders", "memory-key-0001")
MOST_LEAKS = 5


class _Watch(io.StringIO):
    """A stream that keeps only lines with a secret in them, the secret's name in place of its text."""

    def __init__(self, leaks: list[str]) -> None:
        super().__init__()
        self._leaks = leaks

    def write(self, text: str) -> int:
        for number, secret in enumerate(CANARIES):
            if secret in text and len(self._leaks) < MOST_LEAKS:
                self._leaks.append(text.replace(secret, f"<secret {number}>").strip()[:200])
        return len(text)


@contextmanager
def watched_log(clock: Clock) -> Iterator[list[str]]:
    """Log as the daemon does, and list what of it holds a secret of an emulator."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    leaks: list[str] = []
    set_up("info", "json", stream=_Watch(leaks), clock=clock)
    try:
        yield leaks
    finally:
        structlog.reset_defaults()
        root.handlers[:] = handlers
        root.setLevel(level)
