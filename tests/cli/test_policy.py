"""`syncd policy` and its part of `why`: what is asked of the API, and what a person reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, FakeApi

CONDITIONS = ["(i) one", "(ii) two", "(iii) three", "(iv) four"]
LISTING = {
    "shop": "rakuten-main", "listing": "mug:red/1", "pieces": 1, "target": 5, "believed": 5, "share": 5,
    "exposure": 6, "standing": "wait_barrier", "waits_for": "its shop's orders up to 12:00",
}  # fmt: skip


def item(**more: Any) -> dict[str, Any]:
    return {
        "sku": "red-mug", "policy": "escrow", "sale_from": None, "sale_until": None, "scope": "sku", "mode": "escrow",
        "since": "2026-11-20T00:00:00+00:00", "in_sale": False, "unseen": 1.5, "reserve": 0, "free": 10,
        "rights_left": 4, "guaranteed": True, "reasons": [], "listings": [LISTING], **more,
    }  # fmt: skip


def answer(*items: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    usual = {"policy": "auto", "sale_from": None, "sale_until": None, "scope": "settings"}
    return 200, {"items": list(items), "next": None, "usual": usual, "conditions": CONDITIONS}


@pytest.mark.parametrize(
    ("args", "items"),
    [
        (["red-mug", "escrow"], [{"sku": "red-mug", "policy": "escrow"}]),
        (["red-mug", "blue-mug", "none"], [{"sku": s, "policy": "none"} for s in ("red-mug", "blue-mug")]),
        (["red-mug", "mirror+reserve 2"], [{"sku": "red-mug", "policy": "mirror+reserve 2"}]),
        (["red-mug", "mirror+reserve", "2"], [{"sku": "red-mug", "policy": "mirror+reserve 2"}]),
        (["00123", "mirror"], [{"sku": "00123", "policy": "mirror"}]),
        (["--all", "auto"], [{"policy": "auto"}]),
        (
            ["red-mug", "auto", "--sale-from", "2026-11-27T20:00+09:00", "--sale-until", "2026-11-28T02:00+09:00"],
            [{"sku": "red-mug", "policy": "auto", "sale_from": "2026-11-27T20", "sale_until": "2026-11-28T02"}],
        ),
        (
            ["red-mug", "auto", "--no-sale"],
            [{"sku": "red-mug", "policy": "auto", "sale_from": None, "sale_until": None}],
        ),
    ],
)
def test_a_policy_is_set_as_it_is_written(cli: Cli, api: FakeApi, args: list[str], items: list[Any]) -> None:
    result = cli("policy", "set", *args)
    assert result.exit_code == 0, result.output
    [asked] = api.changes()
    assert (asked.method, asked.path) == ("PUT", "/policies")
    for one in asked.body["items"]:
        for name in ("sale_from", "sale_until"):
            if one.get(name):
                assert one[name][-6] in "+-", "a time goes out with its zone"
    cut = [{key: value[:13] if key.startswith("sale") and value else value for key, value in one.items()}
           for one in asked.body["items"]]  # fmt: skip
    want = [{key: value for key, value in one.items() if not (key.startswith("sale") and value)} for one in items]
    assert [{key: one[key] for key in each} for one, each in zip(cut, want, strict=True)] == want
    assert [sorted(one) for one in cut] == [sorted(one) for one in items]


@pytest.mark.parametrize(
    "args",
    [
        ["escrow"],
        ["--all", "red-mug", "escrow"],
        ["red-mug", "auto", "--sale-from", "2026-11-27T20:00"],
        ["red-mug", "auto", "--sale-from", "soon", "--sale-until", "later"],
        ["red-mug", "auto", "--no-sale", "--sale-until", "2026-11-27T20:00"],
    ],
)
def test_a_mistake_asks_for_nothing(cli: Cli, api: FakeApi, args: list[str]) -> None:
    assert cli("policy", "set", *args).exit_code == 2
    assert api.changes() == []


def test_an_unknown_sku_is_named_with_what_may_be_meant(cli: Cli, api: FakeApi) -> None:
    for args in (["policy", "set", "red-mugg", "escrow"], ["policy", "show", "red-mugg"]):
        result = cli(*args)
        assert result.exit_code == 1
        assert "did you mean red-mug" in result.stderr
    assert api.changes() == []


def test_a_guaranteed_sku_is_shown_with_its_listings_and_the_conditions(cli: Cli, api: FakeApi) -> None:
    api.answers["/policies"] = answer(item())
    shown = cli("policy", "show", "red-mug").stdout
    for text in (
        "where nothing else is set: auto (settings)", "policy 連動方式", "share 在庫配分", "mug:red/1", "wait_barrier",
        "its shop's orders up to 12:00", "red-mug: zero overselling is guaranteed under the four conditions",
        *CONDITIONS,
    ):  # fmt: skip
        assert text in shown
    assert cli.json("policy", "show", "red-mug") == api.answers["/policies"][1]


def test_every_reason_against_the_guarantee_is_printed(cli: Cli, api: FakeApi) -> None:
    reasons = ["shop-b mug: sync is off for it", "shop-c mug: shop-c is not loaded"]
    api.answers["/policies"] = answer(item(guaranteed=False, reasons=reasons))
    shown = cli("policy", "--escrow").stdout
    assert "zero overselling is not guaranteed:" in shown
    assert all(f"  {text}" in shown for text in reasons)
    assert ("escrow", "true") in api.asked[-1].params


def test_conditions_are_told_of_escrow_only(cli: Cli, api: FakeApi) -> None:
    api.answers["/policies"] = answer(item(mode="mirror", guaranteed=None, listings=[]))
    shown = cli("policy", "show", "red-mug").stdout
    assert "guaranteed" not in shown.replace("guaranteed  ", "")
    assert CONDITIONS[0] not in shown


def test_why_has_a_block_about_the_policy_after_the_chain(cli: Cli, api: FakeApi) -> None:
    reasons = ["shop-b mug: sync is off for it"]
    one = item(guaranteed=False, reasons=reasons, share=5)
    api.answers["/why/rakuten-main/mug"] = (200, {
        "steps": [{"step": "on hand", "number": 10, "setting": ""}], "sku": "red-mug", "policies": [one],
        "exposure": {"bound": 6, "standing": "limbo", "waits_for": "a read after 12:00"}, "conditions": CONDITIONS,
    })  # fmt: skip
    shown = cli("why", "rakuten-main", "mug").stdout
    for text in (
        "red-mug: policy escrow (sku), now escrow since ", "1.5 pieces expected to be sold unseen",
        "its share: 5 of 10 free; rights left: 4", "exposure: 6 (limbo, waits for a read after 12:00)",
        "  shop-b mug: sync is off for it", "(iv) four",
    ):  # fmt: skip
        assert text in shown
    assert shown.index("on hand") < shown.index("policy escrow") < shown.index("SKU 商品コード: red-mug")
