"""Settings that contradict each other, or that could harm a shop, are refused with a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from syncd.sdk.channel import Restock
from syncd.sdk.settings import ShopSettings
from syncd.testing.fakes import ManualClock, shop_context
from syncd.testing.world import World
from syncd_files.channel import FilesChannel
from syncd_files.emulator import FilesEmulator
from syncd_files.settings import FilesSettings

FOLDER = Path(__file__).parent.parent
STOCK: dict[str, Any] = {"folder": "in", "columns": {"k": "{listing}", "n": "{quantity}"}}
ORDERS: dict[str, Any] = {
    "folder": "out",
    "processed_folder": "out/done",
    "error_folder": "out/bad",
    "columns": {"order": "no", "listing": "k", "quantity": "n"},
}
BASE: dict[str, Any] = {"host": "h", "user": "u", "password": SecretStr("p"), "known_hosts": "/etc/ssh/known_hosts"}


def settings(stock: dict[str, Any] | None = None, orders: dict[str, Any] | None = None, **other: Any) -> FilesSettings:
    tables: dict[str, Any] = {}
    if stock is not None:
        tables["stock"] = {**STOCK, **stock}
    if orders is not None:
        tables["orders"] = {**ORDERS, **orders}
    return FilesSettings(**{**BASE, **tables, **other})


@pytest.mark.parametrize(
    ("stock", "why"),
    [
        ({"columns": {"k": "{listing}"}}, 'exactly one column must be "{quantity}"'),
        ({"columns": {"n": "{quantity}"}}, "a column must be"),
        ({"columns": {"k": "{listing}", "n": "{quantity}", "x": "{price}"}}, "nor a known placeholder"),
        ({"columns": {"k": "{listing}", "n": "{quantity}", "c": "D"}}, "never sends the control value d"),
        ({"wait_while": "never"}, "needs a name with a time"),
        ({"done": "processed"}, "needs processed_folder"),
        ({"zone": "Asia/Edo"}, "unknown time zone"),
        ({"name": "in/stock.csv"}, "pattern"),
        ({"results": {"pattern": "{name}.err"}}, "column of the listing or of the line"),
        ({"colums": {}}, "Extra inputs"),
    ],
)
def test_stock_settings_that_cannot_hold_are_refused(stock: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        settings(stock=stock)


@pytest.mark.parametrize(
    ("orders", "why"),
    [
        ({"processed_folder": None}, "needs processed_folder"),
        ({"error_folder": "out/"}, "must differ from folder"),
        ({"statuses": {"済": "shipped"}}, "go together"),
        ({"columns": {"order": 1, "listing": "k", "quantity": "n"}}, "by text with a header"),
        ({"header": "off"}, "by position"),
        ({"header": "off", "columns": {"order": 0, "listing": 1, "quantity": 2}}, "greater than or equal to 1"),
        ({"zone": "Mars"}, "unknown time zone"),
    ],
)
def test_order_settings_that_cannot_hold_are_refused(orders: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        settings(orders=orders)


def test_a_server_without_known_hosts_or_sign_in_is_refused() -> None:
    with pytest.raises(ValidationError, match="known_hosts"):
        FilesSettings(**{name: value for name, value in BASE.items() if name != "known_hosts"}, stock=STOCK)  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="password or client_key"):
        settings(stock={}, password=None)
    with pytest.raises(ValidationError, match=r"\[files.stock\]"):
        settings()


def channel(table: FilesSettings) -> FilesChannel:
    clock = ManualClock()
    world = World(clock.now)
    emulator = FilesEmulator(world, world.market("m"), clock)
    return FilesChannel(ShopSettings(name="m", channel="files"), table, shop_context(emulator))


def test_what_the_shop_can_do_follows_from_the_settings() -> None:
    only_stock = channel(settings(stock={})).capabilities
    assert (only_stock.reads_orders, len(only_stock.routes)) == (False, 1)
    only_orders = channel(settings(orders={"restocks_on_cancel": "no"})).capabilities
    assert (only_orders.reads_orders, only_orders.routes) == (True, ())
    assert (only_orders.shows_cancels, only_orders.shows_shipments) == (False, False)
    assert only_orders.restocks_on_cancel is Restock.NO
    columns = {**ORDERS["columns"], "status": "s", "shipped": "out"}
    told = channel(settings(orders={"columns": columns, "statuses": {"取消": "cancelled"}})).capabilities
    assert (told.shows_cancels, told.shows_shipments) == (True, True)


def test_every_setting_stands_in_the_readme() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")

    def names(schema: dict[str, Any]) -> set[str]:
        tables = [schema, *schema.get("$defs", {}).values()]
        return {name for table in tables for name in table.get("properties", {})}

    missing = {name for name in names(FilesSettings.model_json_schema()) if f"`{name}`" not in text}
    assert not missing
