"""The demo's settings files, as an operator would write them: TOML, and each secret in a file of its own."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from pydantic import SecretStr

from syncd.sim.stalls import BATCH_SECONDS, POLL_SECONDS, STALLS, VISIBLE_AFTER_SECONDS, Stall
from syncd.testing.sftp_server import LOOPBACK

PORT = 8484


def free_port() -> int:
    """The usual port where it is free, else any."""
    for wanted in (PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, wanted))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no port is free on the loopback address")


def write_settings(
    folder: Path, tables: Mapping[str, Mapping[str, object]], addresses: Mapping[str, str], port: int
) -> Path:
    """Write `syncd.toml`, a file a shop and their secrets, as an operator would. Returns the first's path."""
    (folder / "shops.d").mkdir()
    (folder / "secrets").mkdir(mode=0o700)
    config = folder / "syncd.toml"
    core: dict[str, object] = {
        "state_dir": "state",
        "listen": f"{LOOPBACK}:{port}",
        "batch": {"every_seconds": BATCH_SECONDS},
        "policy": {"usual": "mirror"},  # so that the malls' own count of right numbers is the whole rule chain
        "full_sync": {"at": ""},
        "stop": {"drain_seconds": 5},
    }
    config.write_text("\n".join(toml_lines(core)) + "\n", encoding="utf-8")
    for name, stall in STALLS.items():
        own = with_values(secrets_out(tables[name], folder / "secrets", name), stall.table)
        shop = {"channel": stall.channel, "writes": "dry_run", **shop_values(stall)}
        if addresses[name].startswith("http"):
            shop["base_url"] = addresses[name]
        lines = toml_lines({**shop, stall.channel: own})
        (folder / "shops.d" / f"{name}.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return config


def shop_values(stall: Stall) -> dict[str, object]:
    """What a shop file of the demo sets otherwise than usual. How late files are is a setting of their own channel."""
    if stall.channel == "files":
        return {"poll_seconds": POLL_SECONDS}
    return {"poll_seconds": POLL_SECONDS, "visibility_seconds": 2 * VISIBLE_AFTER_SECONDS}


def with_values(table: Mapping[str, object], more: Mapping[str, object]) -> dict[str, object]:
    """A table with others of its values; a table in it keeps what is not named."""
    found = dict(table)
    for key, value in more.items():
        old = found.get(key)
        found[key] = {**old, **value} if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return found


def secrets_out(table: Mapping[str, object], folder: Path, name: str) -> dict[str, object]:
    """The table with each secret moved into a file of its own, which only its owner can read."""
    found: dict[str, object] = {}
    for key, value in table.items():
        if isinstance(value, SecretStr):
            path = folder / f"{name}-{key}"
            path.touch(mode=0o600)
            path.write_text(value.get_secret_value(), encoding="utf-8")
            found[key] = {"file": str(path)}
        else:
            found[key] = value
    return found


def toml_lines(table: Mapping[str, object], path: tuple[str, ...] = ()) -> list[str]:
    """A table of plain values as TOML: its own values first, then the tables in it."""
    lines = [
        f"{json.dumps(key, ensure_ascii=False)} = {_value(value)}"
        for key, value in table.items()
        if not isinstance(value, Mapping)
    ]
    for key, value in table.items():
        if isinstance(value, Mapping):
            inner = (*path, json.dumps(key, ensure_ascii=False))
            lines += ["", f"[{'.'.join(inner)}]", *toml_lines(value, inner)]
    return lines


def _value(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(one) for one in value)}]"
    if isinstance(value, date):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False)  # texts, numbers and flags are written alike in TOML and JSON
