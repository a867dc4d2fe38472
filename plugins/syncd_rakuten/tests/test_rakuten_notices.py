"""Push notices: a hint and nothing more, and nothing at all from a stranger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.sdk.channel import Hint, Webhook
from syncd_rakuten.notices import notice_of

AUTH = "<authModel><contractId>1</contractId><shopUrl>shop</shopUrl><authKey>{key}</authKey></authModel>"
OTHER = f"<notifyModelX>{AUTH.format(key='key')}</notifyModelX>".encode()
BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'


def orders(*numbers: str, key: str = "key", head: str = "") -> bytes:
    told = "".join(
        f"<orderInfoNotifyModel><orderNumber>{n}</orderNumber><seqId>{i}</seqId><orderDate>2026-11-21</orderDate>"
        f"<basketModel><itemId>1</itemId><units>2</units></basketModel></orderInfoNotifyModel>"
        for i, n in enumerate(numbers, 1)
    )
    return f"{head}<orderNotifyModel>{AUTH.format(key=key)}{told}</orderNotifyModel>".encode()


def event(service: str, function: str, key: str = "key", *, request: str = "r1") -> bytes:
    told = (
        f"<notifyInfoModel><requestId>{request}</requestId><serviceId>{service}</serviceId>"
        f'<functionId>{function}</functionId><value1 name="操作">1</value1></notifyInfoModel>'
    )
    return f"<notifyModel>{AUTH.format(key=key)}{told}</notifyModel>".encode()


def test_a_new_order_asks_for_the_orders_and_has_an_id() -> None:
    notice = notice_of(orders("1-2026-1", "1-2026-2"), "shop", "key")
    assert notice.hint == Hint(orders=True, id="orders:1,2")
    assert notice_of(orders("1-2026-1", "1-2026-2"), "shop", "key") == notice


@pytest.mark.parametrize(
    ("service", "function", "asks"),
    [("4000", "1100", True), ("5000", "1100", True), ("3000", "1100", False), ("9000", "1", False)],
)
def test_a_change_or_a_screening_asks_for_the_orders_and_a_finished_csv_does_not(
    service: str, function: str, asks: bool
) -> None:
    assert notice_of(event(service, function), "shop", "key").hint.orders is asks


def test_a_prefix_of_a_namespace_is_no_matter() -> None:
    body = orders("1").decode().replace("<orderNotifyModel>", '<n:orderNotifyModel xmlns:n="urn:x">')
    assert notice_of(body.replace("</orderNotifyModel>", "</n:orderNotifyModel>").encode(), "shop", "key").hint.orders


@pytest.mark.parametrize(
    "body",
    [
        orders("1", key="other"), orders("1", key=""), event("4000", "1100", "other"), b"", b"<", b"<a/>", b"{}",
        orders("1", head=BOMB), orders("1").replace(b"shop<", b"shop2<"), b"\xff\xfe<\x00a\x00/\x00>\x00"[:5],
        b'<?xml version="1.0" encoding="no-such"?>' + orders("1"), OTHER,
    ],
)  # fmt: skip
def test_a_forged_or_broken_notice_is_refused_without_quoting_it(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"authModel of the notice|no XML of a notice|an unknown kind") as refused:
        notice_of(body, "shop", "key")
    assert refused.value.__cause__ is None


@given(st.binary(max_size=60))
def test_no_bytes_of_a_stranger_do_anything_but_a_refusal(body: bytes) -> None:
    with pytest.raises(ValueError, match="notice"):
        notice_of(body, "shop", "key")


def test_without_a_key_nothing_is_believed() -> None:
    with pytest.raises(ValueError, match="authModel"):
        notice_of(orders("1", key=""), "shop", "")


def test_no_file_of_the_system_is_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("key", encoding="utf-8")
    head = f'<!DOCTYPE x [<!ENTITY k SYSTEM "{secret.as_uri()}">]>'
    with pytest.raises(ValueError, match="no XML"):
        notice_of(orders("1", key="&k;", head=head), "shop", "key")


@pytest.mark.anyio
async def test_a_notice_of_the_mall_makes_the_orders_be_read_and_a_changed_one_nothing(mall: Any) -> None:
    assert mall.channel.capabilities.publishes_webhooks
    assert "N-000-000" in mall.channel.capabilities.webhook_reply
    order = mall.buy()
    notice = mall.emulator.notice_of(order.number)
    hint = await mall.channel.receive(Webhook({}, notice))
    assert (hint.orders, hint.listings) == (True, ())
    with pytest.raises(ValueError, match="authModel"):
        await mall.channel.receive(Webhook({}, notice.replace(b"notice-key", b"notice-kez")))


@pytest.mark.anyio
async def test_a_shop_without_a_key_for_notices_publishes_none(mall: Any) -> None:
    channel: Any = mall.channel
    channel._settings = channel._settings.model_copy(update={"notice_auth_key": None})
    assert not channel.capabilities.publishes_webhooks
    with pytest.raises(ValueError, match="authModel"):
        await channel.receive(Webhook({}, mall.emulator.notice_of(mall.buy().number)))


@pytest.mark.anyio
async def test_an_order_that_a_notice_says_changed_is_read_with_the_next_poll(mall: Any) -> None:
    order = mall.market.buy({mall.keys[0]: 5}, number="100001-20261121-0000000001")
    await mall.poll()
    mall.market.cancel(order.number, {"1": 2})
    await mall.page()
    assert mall.states[order.number].lines[0].ordered == 5
    changed = event("4000", "1100", mall.emulator.settings()["notice_auth_key"].get_secret_value()).replace(
        b"<shopUrl>shop<", b"<shopUrl>emulated-shop<"
    )
    told = changed.replace(b"</notifyInfoModel>", f"<value2>{order.number}</value2></notifyInfoModel>".encode())
    assert (await mall.channel.receive(Webhook({}, told))).orders
    await mall.page()
    assert mall.states[order.number].lines[0].ordered == 3
    before = mall.emulator.calls["get_order"]
    await mall.page()
    assert mall.emulator.calls["get_order"] == before


@pytest.mark.anyio
async def test_a_flood_of_notices_costs_one_more_read_at_most(mall: Any) -> None:
    await mall.poll()
    channel: Any = mall.channel
    channel._feed.look_at(f"100001-20261121-{n:010d}" for n in range(5000))
    before = mall.emulator.calls["get_order"]
    page = await mall.page()
    assert mall.emulator.calls["get_order"] == before + 1
    assert page.problems == ()
