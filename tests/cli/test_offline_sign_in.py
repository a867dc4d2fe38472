"""`syncd shops sign-in` over the real application and a real store, while no daemon runs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from click.testing import CliRunner

from syncd.app import check_shops, open_offline
from syncd.cli import main
from syncd.cli.doors import Doors
from syncd.clock import SystemClock
from syncd.config import Config, encryption_keys, load
from syncd.daemon.grants import KeptGrants
from syncd.daemon.plugins import Plugins
from syncd.sdk.files import FilesOpener
from syncd.sdk.mail import MailOpener, no_mail
from syncd.sim.stage import no_files
from syncd.store.engine import Store
from syncd.store.vault import Vault, new_key
from syncd.testing.signing import SigningChannel, SigningServer


class NoNetwork:
    """Nothing of this is called."""

    def http(self, shop: str) -> httpx.AsyncBaseTransport:
        return httpx.MockTransport(lambda request: httpx.Response(404))

    def files(self, shop: str) -> FilesOpener:
        return no_files

    def mail(self, shop: str) -> MailOpener:
        return no_mail


@asynccontextmanager
async def offline(config: Config) -> AsyncIterator[tuple[Any, str]]:
    plugins = Plugins({"signing": SigningChannel}, ())
    async with open_offline(config, transports=NoNetwork(), plugins=plugins) as opened:
        yield opened


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "syncd.toml"
    path.write_text(f'state_dir = "{tmp_path / "state"}"\nlisten = "127.0.0.1:1"\n', encoding="utf-8")
    (tmp_path / "shops.d").mkdir()
    (tmp_path / "shops.d/yahoo-main.toml").write_text('channel = "signing"\n[signing]\n', encoding="utf-8")
    return path


def syncd(config: Path, *args: str, typed: str = "") -> Any:
    runner = CliRunner(env={"SYNCD_CONFIG": str(config)})
    result = runner.invoke(main, [*args, "--json"], obj=Doors(offline=offline), input=typed, catch_exceptions=False)
    return json.loads(result.stdout)


def test_a_sign_in_without_a_daemon_is_sealed_into_the_store_for_the_next_start(config: Path) -> None:
    server = SigningServer("app-1", SystemClock())
    answer = syncd(config, "shops", "sign-in", "yahoo-main", typed=server.person_signs_in() + "\n")
    assert (answer["name"], answer["paused"]) == ("yahoo-main", False)
    settings = load(config).settings

    async def kept() -> str:
        store = Store.open(settings.state_dir / "syncd.sqlite", clock=SystemClock())
        vault = Vault(encryption_keys(settings, new_key()))
        grant = await KeptGrants(store, SystemClock(), vault).of("yahoo-main", "signing").load("app-1")
        await store.aclose()
        assert grant is not None
        return grant.access.get_secret_value()

    assert anyio.run(kept) in server.access
    raw = b"".join(path.read_bytes() for path in settings.state_dir.iterdir())
    assert b"canary" not in raw


def test_syncd_check_leaves_a_shop_that_is_signed_in_to_alone_and_says_so(config: Path) -> None:
    server = SigningServer("app-1", SystemClock())
    plugins = Plugins({"signing": SigningChannel}, ())
    [told] = anyio.run(partial(check_shops, load(config), transports=NoNetwork(), plugins=plugins))
    assert (told["shop"], told["ok"]) == ("yahoo-main", True)
    assert "its sign-in lies in the store" in told["text"]
    assert server.exchanges == 0, "a token that rotates is renewed only beside the store that keeps it"


def test_a_store_key_that_is_no_key_ends_the_command_as_a_mistake_in_the_settings(config: Path) -> None:
    folder = load(config).settings.state_dir
    folder.mkdir(mode=0o700)
    (folder / "store.key").touch(mode=0o600)
    (folder / "store.key").write_text("not a key\n", encoding="ascii")
    runner = CliRunner(env={"SYNCD_CONFIG": str(config)})
    result = runner.invoke(main, ["shops"], obj=Doors(offline=offline), catch_exceptions=False)
    assert result.exit_code == 78
    assert "keys.encryption: an encryption key is 32 random bytes" in result.stderr
