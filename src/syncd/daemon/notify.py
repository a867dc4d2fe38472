"""Tells systemd how the daemon is: ready, stopping, a line of status, a watchdog beat. One datagram each.

Protocol: sd_notify(3). Without $NOTIFY_SOCKET every call does nothing, so the daemon runs anywhere.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

LONGEST_STATUS = 256


class Notifier:
    """The service manager's ear. Never blocks and never raises: a deaf manager stops no daemon."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        address = self._environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address

    @property
    def watchdog_seconds(self) -> float | None:
        """Seconds between two beats: half of what the manager allows. None where it expects none of us."""
        allowed = self._environ.get("WATCHDOG_USEC", "")
        meant_for = self._environ.get("WATCHDOG_PID", "")
        if not allowed.isdecimal() or int(allowed) == 0 or meant_for not in ("", str(os.getpid())):
            return None
        return int(allowed) / 2e6

    def ready(self, status: str = "") -> bool:
        """Strictly after the schema check, the settling of open intents and the first order reads."""
        return self._send("READY=1", _status(status))

    def stopping(self, status: str = "") -> bool:
        return self._send("STOPPING=1", _status(status))

    def status(self, text: str) -> bool:
        """One line for `systemctl status`."""
        return self._send(_status(text))

    def watchdog(self) -> bool:
        """Only while every supervised task makes progress: a beat from a free timer proves nothing."""
        return self._send("WATCHDOG=1")

    def _send(self, *fields: str) -> bool:
        """True when the manager's socket took it."""
        if not self._address:
            return False
        message = "\n".join(field for field in fields if field).encode()
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as ear:
                ear.setblocking(False)
                return ear.sendto(message, self._address) == len(message)
        except OSError:
            return False


def _status(text: str) -> str:
    """A status field; a line break inside would start a field of its own."""
    line = " ".join(text.split())[:LONGEST_STATUS]
    return f"STATUS={line}" if line else ""
