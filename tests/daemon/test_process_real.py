"""`syncd run` as a process of its own: signals, a second daemon, a kill, and settings that are wrong."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.real
WITHIN_SECONDS = 30.0
BAD_CONFIGURATION = 78


class Process:
    """One `syncd run` over a folder of settings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "syncd.toml"
        self.log = folder / "log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.settings("")
        self.running: list[subprocess.Popen[bytes]] = []

    def settings(self, more: str) -> None:
        text = f'state_dir = "state"\nlisten = "127.0.0.1:{self.port}"\n{more}'
        self.config.write_text(text, encoding="utf-8")

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "syncd.cli", "run", "--config", str(self.config)]
        with self.log.open("ab") as log:
            process = subprocess.Popen(command, stderr=log, stdout=log, env={**os.environ, "PYTHONUNBUFFERED": "1"})
        self.running.append(process)
        return process

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [one for one in map(json.loads, lines) if one["event"] == name]

    def until(self, name: str, times: int = 1) -> dict[str, Any]:
        """Wait until something was logged so often; returns the last one."""
        end = time.monotonic() + WITHIN_SECONDS
        while len(self.events(name)) < times:
            assert time.monotonic() < end, f"no {name}: {self.log.read_text(encoding='utf-8')}"
            assert self.running[-1].poll() is None, self.log.read_text(encoding="utf-8")
            time.sleep(0.05)
        return self.events(name)[-1]


@pytest.fixture
def syncd(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path)
    yield process
    for one in process.running:
        one.kill()
        one.wait()


def test_sighup_reads_the_settings_again_and_sigterm_ends_well(syncd: Process) -> None:
    daemon = syncd.start()
    syncd.until("daemon_ready")
    (syncd.folder / "shops.d").mkdir()
    (syncd.folder / "shops.d" / "kyoto.toml").write_text('channel = "rakutan"\n', encoding="utf-8")
    syncd.settings("[batch]\nevery_seconds = 60\n")
    daemon.send_signal(signal.SIGHUP)
    assert syncd.until("settings_reloaded")["changed"] == ["kyoto"]
    assert "no plugin gives channel 'rakutan'" in syncd.until("shop_set_aside")["problem"]
    syncd.settings("[batch]\nevery_secs = 60\n")
    daemon.send_signal(signal.SIGHUP)
    assert syncd.until("reload_refused")["problem"].endswith(
        "syncd.toml:4: batch.every_secs: unknown; did you mean every_seconds?"
    )
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(WITHIN_SECONDS) == 0
    assert syncd.events("daemon_stopped")


def test_a_second_daemon_is_refused_and_a_killed_one_leaves_nothing_in_the_way(syncd: Process) -> None:
    first = syncd.start()
    syncd.until("daemon_ready")
    second = syncd.start()
    assert second.wait(WITHIN_SECONDS) == 1
    [refused] = syncd.events("store_refused")
    assert f"is in use by process {first.pid}" in refused["error"]
    first.kill()
    first.wait()
    syncd.start()
    syncd.until("daemon_ready", times=2)


def test_wrong_settings_end_it_with_the_code_that_systemd_does_not_restart_on(syncd: Process) -> None:
    syncd.settings("[batch\n")
    assert syncd.start().wait(WITHIN_SECONDS) == BAD_CONFIGURATION
    [refused] = syncd.events("configuration_refused")
    assert "syncd.toml:3:7: not TOML" in refused["error"]
