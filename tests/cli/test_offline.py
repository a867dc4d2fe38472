"""The commands over the real application and a real store, without a daemon."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from syncd.cli import main
from syncd.cli.doors import Doors
from syncd.store.lock import FileLock


def the_app_opens_offline() -> bool:
    """Whether the application can be opened by a command. Looked up without importing it."""
    found = importlib.util.find_spec("syncd.app")
    return found is not None and "def open_offline" in Path(str(found.origin)).read_text(encoding="utf-8")


pytestmark = pytest.mark.skipif(not the_app_opens_offline(), reason="syncd.app.open_offline does not exist yet")


class Offline:
    """`syncd` with settings of its own and no daemon."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "syncd.toml"
        self.config.write_text(f'state_dir = "{folder / "state"}"\nlisten = "127.0.0.1:1"\n', encoding="utf-8")

    def __call__(self, *args: str) -> Any:
        from syncd.app import open_offline

        runner = CliRunner(env={"SYNCD_CONFIG": str(self.config)})
        result = runner.invoke(main, [*args, "--json"], obj=Doors(offline=open_offline), catch_exceptions=False)
        return result.exit_code, json.loads(result.stdout)


@pytest.fixture
def syncd(tmp_path: Path) -> Offline:
    return Offline(tmp_path)


@pytest.fixture
def skus(syncd: Offline, tmp_path: Path) -> Path:
    path = tmp_path / "skus.csv"
    path.write_text("sku,name\nred-mug,Red mug\nblue-mug,Blue mug\n", encoding="utf-8")
    code, document = syncd("skus", "import", str(path), "--yes")
    assert (code, document["applied"]) == (0, True)
    return path


def free(document: dict[str, Any]) -> int:
    return sum(int(line["free"]) for line in document["items"])


@pytest.mark.usefixtures("skus")
def test_stock_is_set_adjusted_counted_and_explained(syncd: Offline) -> None:
    assert syncd("stock", "set", "red-mug", "10")[0] == 0
    assert syncd("stock", "adjust", "red-mug", "-3", "--note", "broken")[0] == 0
    assert free(syncd("stock", "show", "red-mug")[1]) == 7
    assert syncd("stock", "count", "red-mug", "9")[0] == 0
    assert free(syncd("stock", "show", "red-mug")[1]) == 9
    entries = syncd("log", "red-mug")[1]["items"]
    assert [entry["on_hand"] for entry in entries] == [2, -3, 10]


@pytest.mark.usefixtures("skus")
def test_an_export_imports_again_with_what_staff_changed(syncd: Offline, tmp_path: Path) -> None:
    syncd("stock", "set", "red-mug", "10")
    path = tmp_path / "stock.csv"
    assert syncd("stock", "export", str(path))[0] == 0
    assert syncd("stock", "import", str(path), "--yes")[1]["changes"] == []
    text = path.read_text(encoding="utf-8-sig").replace("main,10,0,0,10,10", "main,10,0,0,10,4")
    path.write_text(text, encoding="utf-8-sig")
    code, document = syncd("stock", "import", str(path), "--yes")
    assert (code, len(document["changes"])) == (0, 1)
    assert free(syncd("stock", "show", "red-mug")[1]) == 4


@pytest.mark.usefixtures("skus")
def test_an_adjustment_file_is_applied_once(syncd: Offline, tmp_path: Path) -> None:
    syncd("stock", "set", "red-mug", "10")
    path = tmp_path / "by.csv"
    path.write_text("sku,by\nred-mug,-1\n", encoding="utf-8")
    for _ in range(2):
        assert syncd("stock", "import", str(path), "--mode", "adjust", "--yes")[0] == 0
    assert free(syncd("stock", "show", "red-mug")[1]) == 9


@pytest.mark.usefixtures("skus")
def test_rules_are_set_shown_and_taken_away(syncd: Offline) -> None:
    assert syncd("rules", "set", "hold_back", "2", "--sku", "red-mug")[0] == 0
    assert [(rule["rule"], rule["value"]) for rule in syncd("rules")[1]["items"]] == [("hold_back", 2)]
    assert syncd("rules", "set", "hold_back", "none", "--sku", "red-mug")[0] == 0
    assert syncd("rules")[1]["items"] == []


@pytest.mark.usefixtures("skus")
def test_an_unknown_sku_is_suggested(syncd: Offline) -> None:
    code, document = syncd("stock", "show", "RED-MUG")
    assert (code, "did you mean red-mug" in document["error"]) == (1, True)


@pytest.mark.parametrize("command", ["status", "shops", "plugins", "alarms", "listings", "orders", "skus", "stock"])
def test_commands_that_only_look_work_on_an_empty_store(syncd: Offline, command: str) -> None:
    assert syncd(command)[0] == 0


def test_a_backup_is_written(syncd: Offline, tmp_path: Path) -> None:
    assert syncd("backup", str(tmp_path / "copy.sqlite"))[0] == 0
    assert (tmp_path / "copy.sqlite").exists()


def test_a_store_that_another_process_holds_is_named_with_the_address(syncd: Offline, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    held = FileLock.take(state / "syncd.sqlite")
    code, document = syncd("shops")
    held.release()
    assert (code, "127.0.0.1:1 " in document["error"]) == (1, True)


def test_without_a_daemon_status_and_shops_say_so(syncd: Offline) -> None:
    folder = syncd.config.parent / "shops.d"
    folder.mkdir()
    (folder / "sftp.toml").write_text('channel = "files"\norders = \n', encoding="utf-8")
    (folder / "kyoto.toml").write_text('channel = "rakutan"\n', encoding="utf-8")
    code, document = syncd("status")
    assert (code, document["daemon"], document["started_at"]) == (0, "not running", None)
    assert document["late"][0].startswith("no daemon runs: nothing is read or written; start it:")
    shops = {one["name"]: (one["status"], one["status_text"]) for one in syncd("shops", "list")[1]["items"]}
    assert shops["sftp"][0] == "config_error"
    assert "sftp.toml:2:10: not TOML" in shops["sftp"][1]
    assert "no plugin gives channel 'rakutan'" in shops["kyoto"][1]


def test_a_shop_whose_file_was_taken_away_is_told_as_removed_and_one_at_rest_as_stopped(syncd: Offline) -> None:
    folder = syncd.config.parent / "shops.d"
    folder.mkdir()
    key = syncd.config.parent / "key"
    key.touch(mode=0o600)
    key.write_text("offline-canary-0001", encoding="utf-8")
    own = f'[shopify]\nshop = "x.myshopify.com"\nlocation = "1"\naccess_token = {{ file = "{key}" }}\n'
    text = f'channel = "shopify"\n{own}'
    for name in ("kyoto", "osaka"):
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    assert {one["status"] for one in syncd("shops", "list")[1]["items"]} == {"stopped"}
    (folder / "osaka.toml").unlink()
    shops = {one["name"]: one["status"] for one in syncd("shops", "list")[1]["items"]}
    assert shops == {"kyoto": "stopped", "osaka": "removed"}
