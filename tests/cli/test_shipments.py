"""`syncd orders ship`: parcels by hand and from a CSV, every mistake named by line and column."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, FakeApi


def test_orders_are_shipped_by_hand(cli: Cli, api: FakeApi) -> None:
    args = ["orders", "ship", "rakuten-main", "1", "2", "--carrier", "yamato", "--tracking", "12", "--line", "a=2"]
    assert cli(*args, "--yes").exit_code == 0
    [asked] = api.changes()
    assert asked.path == "/shipments"
    assert asked.body["preview"] is False
    assert [(one["order"], one["tracking"], one["lines"]) for one in asked.body["items"]] == [
        ("1", "12", {"a": 2}), ("2", "12", {"a": 2}),
    ]  # fmt: skip


def test_a_file_is_put_together_by_parcel(cli: Cli, api: FakeApi, sheet: Callable[..., str]) -> None:
    path = sheet(
        "店舗,受注番号,配送会社,送り状番号,発送日,明細,数量\n"
        "rakuten-main,1,ヤマト運輸,111122223333,2026/11/20,a,1\n"
        "rakuten-main,1,ヤマト運輸,111122223333,2026/11/20,b,2\n"
        "shopify-jp,7,sagawa,4,,,\n",
        "cp932",
    )
    assert cli("orders", "ship", "--file", path, "--yes").exit_code == 0
    first, second = api.changes()[-1].body["items"]
    assert (first["carrier"], first["lines"]) == ("yamato", {"a": 1, "b": 2})
    assert first["shipped_at"].startswith("2026-11-20T00:00")
    assert (second["carrier"], second["lines"]) == ("sagawa", {})
    assert "shipped_at" not in second


def test_every_mistake_of_a_file_is_named_and_nothing_is_asked(
    cli: Cli, api: FakeApi, sheet: Callable[..., str]
) -> None:
    path = sheet(
        "shop,order,carrier,tracking,shipped_at,line,units\n"
        ",1,yamato,1,,,\n"
        "a,1,pigeon,1,,,\n"
        "a,2,yamato,4.9E+11,,,\n"
        "a,3,yamato,1,tomorrow,,\n"
        "a,4,yamato,1,,,2\n"
        "a,5,yamato,1,,x,1.5\n"
        "a,6,other,1,,,\n"
        "a,7,yamato,1,,,\n"
        "a,7,yamato,1,,,\n"
    )
    told = cli("orders", "ship", "--file", path, "--yes")
    assert told.exit_code == 1
    for said in (
        "csv:2: column 1 (shop): is empty", 'csv:3: column 3 (carrier): "pigeon"', "csv:4: column 4 (tracking)",
        "csv:5: column 5 (shipped_at)", "csv:6: column 7 (units): units without a line", "csv:7: column 7 (units)",
        "csv:8: column 3 (carrier): the carrier is other", "csv:10: column 2 (order): this parcel stands on line 9",
    ):  # fmt: skip
        assert said in told.stderr
    assert api.changes() == []


def test_what_the_api_finds_is_named_by_line_and_column(cli: Cli, api: FakeApi, sheet: Callable[..., str]) -> None:
    path = sheet("shop,order,carrier,tracking,line,units\na,1,yamato,1,x,1\na,1,yamato,1,y,9\na,2,yamato,2,,\n")
    mistakes = [
        {"where": "items[0].lines[y].units", "error": "2 of y are left to ship, not 9"},
        {"where": "items[1].order", "error": "a has no order 2"},
    ]
    api.answers["/shipments"] = (422, {"error": "no", "where": "items[0].lines[y].units", "mistakes": mistakes})
    told = cli("orders", "ship", "--file", path, "--yes")
    assert "csv:3: column 6 (units): 2 of y are left to ship, not 9" in told.stderr
    assert "csv:4: column 2 (order): a has no order 2" in told.stderr


def test_wrong_usage_is_told(cli: Cli, sheet: Callable[..., str]) -> None:
    path = sheet("shop,order,carrier,tracking\n")
    for args in (["rakuten-main"], ["rakuten-main", "1"], ["rakuten-main", "1", "--file", path]):
        assert cli("orders", "ship", *args).exit_code == 2


def test_one_shipment_is_decided(cli: Cli, api: FakeApi) -> None:
    for decision in ("retry", "settle", "withdraw"):
        assert cli("shipments", decision, "7").exit_code == 0
        assert api.changes()[-1].path == f"/shipments/7/{decision}"


def test_returned_goods_are_accepted_and_rejected(cli: Cli, api: FakeApi) -> None:
    for verdict in ("accept", "reject"):
        assert cli("returns", verdict, "rakuten-main", "1", "2", "--line", "a=1", "--yes").exit_code == 0
        asked = api.changes()[-1]
        assert asked.path == f"/returns/{verdict}"
        assert asked.body == {
            "items": [{"shop": "rakuten-main", "order": n, "lines": {"a": 1}} for n in ("1", "2")], "preview": False,
        }  # fmt: skip
