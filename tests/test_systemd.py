"""The unit is hardened and fits the daemon; the daemon speaks systemd's protocol."""

import os
import shutil
import socket
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.config import ConfigError, Settings
from syncd.daemon.notify import Notifier

UNIT = Path(__file__).parents[1] / "systemd/syncd.service"

HARDENING = {
    "DynamicUser": "yes",
    "StateDirectoryMode": "0700",
    "UMask": "0077",
    "NoNewPrivileges": "yes",
    "CapabilityBoundingSet": "",
    "AmbientCapabilities": "",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "PrivateUsers": "yes",
    "PrivateIPC": "yes",
    "PrivateMounts": "yes",
    "ProtectClock": "yes",
    "ProtectControlGroups": "yes",
    "ProtectHostname": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectProc": "invisible",
    "ProcSubset": "pid",
    "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6",
    "RestrictNamespaces": "yes",
    "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes",
    "LockPersonality": "yes",
    "MemoryDenyWriteExecute": "yes",
    "KeyringMode": "private",
    "SystemCallArchitectures": "native",
    "DevicePolicy": "closed",
    "RemoveIPC": "yes",
    "LimitCORE": "0",
}


@pytest.fixture(scope="module")
def service() -> dict[str, list[str]]:
    """The [Service] section, every value of a key in order."""
    section, found = "", defaultdict(list)
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line
        elif "=" in line and not line.startswith(("#", ";")) and section == "[Service]":
            key, _, value = line.partition("=")
            found[key].append(value)
    return dict(found)


@pytest.mark.parametrize("key", HARDENING)
def test_the_unit_sets_the_whole_hardening_set(service: dict[str, list[str]], key: str) -> None:
    assert service[key] == [HARDENING[key]]


def test_the_unit_limits_system_calls_memory_and_tasks(service: dict[str, list[str]]) -> None:
    assert service["SystemCallFilter"] == ["@system-service", "~@privileged @resources"]
    assert set(service) >= {"MemoryMax", "TasksMax"}


def test_the_unit_is_not_restarted_on_a_bad_configuration(service: dict[str, list[str]]) -> None:
    assert service["Restart"] == ["on-failure"]
    assert service["RestartPreventExitStatus"] == [str(ConfigError.exit_code)]


def test_the_unit_gives_the_daemon_time_to_drain_before_it_kills(service: dict[str, list[str]]) -> None:
    assert (service["Type"], service["KillMode"]) == (["notify"], ["mixed"])
    drain = Settings.model_fields["stop"].get_default(call_default_factory=True).drain_seconds
    assert int(service["TimeoutStopSec"][0]) >= 2 * drain
    longest = next(m.le for m in type(Settings().stop).model_fields["drain_seconds"].metadata if hasattr(m, "le"))
    assert int(service["TimeoutStopSec"][0]) > longest


def test_the_unit_puts_no_secret_into_the_environment(service: dict[str, list[str]]) -> None:
    assert not [v for v in service.get("Environment", []) if any(w in v.lower() for w in ("token", "secret", "key"))]
    assert "EnvironmentFile" not in service


def test_the_state_folder_is_the_default_of_the_settings(service: dict[str, list[str]]) -> None:
    [folder] = service["StateDirectory"]
    assert Path("/var/lib") / folder == Settings().state_dir


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed here")
def test_systemd_itself_rates_the_unit_at_most_1_5() -> None:
    call = ["systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", str(UNIT)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-400:] + done.stderr


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A service manager's socket, and how $NOTIFY_SOCKET names it."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@syncd-test-{os.getpid()}-{tmp_path.name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(name if request.param == "path" else "\0" + name[1:])
        ear.settimeout(5)
        yield ear, name


def test_each_word_to_the_manager_is_one_datagram(manager: tuple[socket.socket, str]) -> None:
    ear, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name})
    assert notifier.ready("3 shops")
    assert notifier.status("two\nlines WATCHDOG=1")
    assert notifier.watchdog()
    assert notifier.stopping()
    assert [ear.recv(4096) for _ in range(4)] == [
        b"READY=1\nSTATUS=3 shops",
        b"STATUS=two lines WATCHDOG=1",
        b"WATCHDOG=1",
        b"STOPPING=1",
    ]


def test_without_a_manager_or_with_a_deaf_one_nothing_happens(tmp_path: Path) -> None:
    assert not Notifier({}).ready()
    assert not Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).watchdog()


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_asked(environ: dict[str, str], seconds: float | None) -> None:
    assert Notifier(environ).watchdog_seconds == seconds
