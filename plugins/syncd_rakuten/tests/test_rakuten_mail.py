"""Order mail: a hint and nothing more, whatever comes in, and no mail of others is touched."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.sdk.channel import HintPage
from syncd.sdk.errors import SignInRequired, Unavailable
from syncd_rakuten.emulator_mail import mail_of
from syncd_rakuten.order_mail import HEAD_BYTES, MAILS, TEXT_BYTES, is_from, numbers_in
from syncd_rakuten.settings import MailSettings

NUMBER = "100001-20261121-0000000001"
RAKUTEN = b"From: order@rakuten.co.jp\r\n"
SENDERS = ("order@rakuten.co.jp",)


def watched(mall: Any, **settings: Any) -> Any:
    """The mall's channel with its mailbox open."""
    table = MailSettings(**{**mall.emulator.mail_settings(), **settings})
    real = mall.emulator.settings
    mall.emulator.settings = lambda: {**real(), "mail": table}
    mall.channel = mall.open()
    return mall.channel


async def listen(mall: Any, channel: Any) -> HintPage:
    """One turn as the daemon has it: the hints, then that they were taken."""
    page: HintPage = await mall.run(channel.listen())
    if page.acknowledge is not None:
        await mall.run(page.acknowledge())
    return page


def put(mall: Any, raw: bytes, *, days_ago: float = 0) -> int:
    return int(mall.emulator.post.put(raw, mall.clock.now() - timedelta(days=days_ago)))


@pytest.mark.anyio
async def test_without_a_mailbox_nothing_listens_and_with_one_the_shop_does(mall: Any) -> None:
    assert not mall.channel.capabilities.listens
    assert watched(mall).capabilities.listens


@pytest.mark.anyio
async def test_a_mail_makes_its_order_be_read_first_and_is_seen_only_once_the_hint_was_taken(mall: Any) -> None:
    channel = watched(mall)
    order = mall.market.buy({mall.keys[0]: 5}, number=NUMBER)
    await mall.poll()
    mall.market.cancel(order.number, {"1": 2})
    mail = mall.emulator.send_mail(order.number)
    page = await mall.run(channel.listen())
    assert [(hint.orders, hint.listings, bool(hint.id)) for hint in page.hints] == [(True, (), True)]
    assert mall.emulator.post.seen() == set()
    await mall.run(page.acknowledge())
    assert mall.emulator.post.seen() == {mail}
    await mall.page()
    assert mall.states[order.number].lines[0].ordered == 3


@pytest.mark.anyio
async def test_looks_are_as_far_apart_as_set_and_one_without_mail_gives_nothing(mall: Any) -> None:
    channel = watched(mall, look_seconds=7)
    began = mall.clock.monotonic()
    for _ in range(3):
        assert await listen(mall, channel) == HintPage()
    assert mall.clock.monotonic() - began == pytest.approx(14)
    assert mall.emulator.post.calls == {"search": 3}


@pytest.mark.anyio
async def test_mails_of_others_are_neither_read_nor_marked_nor_asked_about_twice(mall: Any) -> None:
    channel = watched(mall)
    for sender in ("reorder@rakuten.co.jp", "order@rakuten.co.jp.example.com", '"order@rakuten.co.jp" <a@b.example>'):
        put(mall, f"From: {sender}\r\n\r\n[受注番号] {NUMBER}".encode())
    put(mall, b"From: friend@example.com\r\n\r\nhello")
    for _ in range(3):
        assert (await listen(mall, channel)).hints == ()
    assert mall.emulator.post.seen() == set()
    assert mall.emulator.post.calls["head"] == 3
    assert mall.emulator.post.calls["text"] == 0


@pytest.mark.anyio
async def test_a_whole_domain_can_be_named(mall: Any) -> None:
    channel = watched(mall, senders=("@rakuten.co.jp",))
    put(mall, b"From: Rakuten <Notice@RAKUTEN.co.jp>\r\n\r\n")
    put(mall, b"From: x@norakuten.co.jp\r\n\r\n")
    assert len((await listen(mall, channel)).hints) == 1


@pytest.mark.anyio
async def test_an_old_backlog_of_unread_mails_stays_as_it_is(mall: Any) -> None:
    channel = watched(mall)
    put(mall, RAKUTEN + b"\r\n", days_ago=4)
    assert await listen(mall, channel) == HintPage()
    assert mall.emulator.post.seen() == set()


@pytest.mark.anyio
async def test_a_huge_mail_costs_a_few_kilobytes_and_a_flood_a_few_mails_a_look(mall: Any) -> None:
    channel = watched(mall)
    head = RAKUTEN + b"Content-Type: text/plain; x=" + b"y" * 1_000_000 + b"\r\n\r\n"
    for _ in range(200):
        put(mall, head + b"z" * 1_000_000)
    assert len((await listen(mall, channel)).hints) == MAILS
    assert mall.emulator.post.given_bytes <= MAILS * (HEAD_BYTES + TEXT_BYTES)


@pytest.mark.anyio
async def test_a_flood_of_forged_mails_costs_one_more_read_and_no_order(mall: Any) -> None:
    channel = watched(mall)
    await mall.poll()
    for n in range(500):
        put(mall, RAKUTEN + f"\r\n100001-20261121-{n:010d}".encode())
    for _ in range(20):
        await listen(mall, channel)
    before = mall.emulator.calls["get_order"]
    page = await mall.page()
    assert mall.emulator.calls["get_order"] == before + 1
    assert (page.states, page.problems) == ((), ())


@pytest.mark.anyio
async def test_a_mail_that_could_not_be_marked_is_marked_later_and_not_read_again(mall: Any) -> None:
    channel = watched(mall)
    mail = put(mall, RAKUTEN + b"\r\n" + NUMBER.encode())
    page = await mall.run(channel.listen())
    mall.emulator.post.trouble = Unavailable("gone")
    with pytest.raises(Unavailable):
        await mall.run(page.acknowledge())
    mall.emulator.post.trouble = None
    again = await listen(mall, channel)
    assert again.hints == ()
    assert mall.emulator.post.seen() == {mail}
    assert mall.emulator.post.calls["text"] == 1


@pytest.mark.anyio
async def test_a_mail_that_vanished_or_a_folder_numbered_anew_is_no_error(mall: Any) -> None:
    channel = watched(mall)
    put(mall, RAKUTEN + b"\r\n")
    page = await mall.run(channel.listen())
    mall.emulator.post.numbering = 2
    await mall.run(page.acknowledge())
    assert mall.emulator.post.seen() == set()
    assert len((await listen(mall, channel)).hints) == 1


@pytest.mark.anyio
async def test_check_warns_of_a_mailbox_that_cannot_be_used_and_passes(mall: Any) -> None:
    channel = watched(mall)
    assert (await mall.run(channel.check())).warnings == ()
    mall.emulator.post.password = "another"
    report = await mall.run(channel.check())
    assert report.account == "emulated-shop"
    assert "order mail gives no hints (SignInRequired: mail.example refuses user orders" in report.warnings[0]
    with pytest.raises(SignInRequired):
        await mall.run(channel.listen())
    assert (await mall.poll())[-1].more is False, "orders are read on"


@pytest.mark.anyio
async def test_the_mailbox_is_closed_with_the_shop(mall: Any) -> None:
    await watched(mall).aclose()
    assert mall.emulator.post.calls["close"] == 1


@pytest.mark.anyio
async def test_the_number_of_rakutens_own_mail_is_found_in_every_way_mails_are_sent(mall: Any) -> None:
    raw = mail_of(mall.market.buy({mall.keys[0]: 1}, number=NUMBER))
    _, _, text = raw.partition(b"\r\n\r\n")
    assert numbers_in(RAKUTEN, text[:TEXT_BYTES]) == {NUMBER}
    for charset in ("utf-8", "cp932", "euc-jp", "no-such-charset", "idna"):
        kind = f"Content-Type: text/plain; charset={charset}\r\n".encode()
        assert numbers_in(RAKUTEN + kind, text) == {NUMBER}
    encoded = b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(text)[: TEXT_BYTES // 2 + 1]
    assert numbers_in(RAKUTEN + encoded.partition(b"\r\n\r\n")[0] + b"\r\n", encoded.partition(b"\r\n\r\n")[2]) == {
        NUMBER
    }
    parts = b"Content-Type: multipart/alternative; boundary=x\r\n"
    assert numbers_in(RAKUTEN + parts, b"--x\r\nContent-Type: text/plain\r\n" + encoded) == {NUMBER}


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        (b"", set()), (b"1-2-3", set()), (b"12345678901234567-20261121-1", set()), (b"9-100001-20261121-0001", set()),
        (f"[\x1b$B<uCmHV9f\x1b(B] {NUMBER}\r\n".encode(), {NUMBER}), (f"<b>{NUMBER}</b>{NUMBER}".encode(), {NUMBER}),
    ],
)  # fmt: skip
def test_only_what_has_the_form_of_an_order_number_is_taken(text: bytes, numbers: set[str]) -> None:
    assert numbers_in(b"", text) == numbers


def test_of_one_mail_only_a_few_numbers_are_taken() -> None:
    assert len(numbers_in(b"", b" ".join(b"1-20261121-%d" % n for n in range(99)))) == 4


@pytest.mark.parametrize(
    "head",
    [
        b"", b"From:", b"From: \xff\xfe\r\n", b"From: =?no-such?B?////?=\r\n", b"From: (((((\r\n", b"From: <@@>\r\n",
        b"from order@rakuten.co.jp", b"From: " + b"(" * 4000, b"From: a:b:c;\r\n", b"\0" * 99,
    ],
)  # fmt: skip
def test_a_broken_sender_is_nobody(head: bytes) -> None:
    assert not is_from(head, SENDERS)


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_no_bytes_of_a_stranger_raise_anything(head: bytes, text: bytes) -> None:
    assert not is_from(head, SENDERS)
    kind = b"Content-Type: multipart/mixed; boundary=" + head[:20] + b"\r\nContent-Transfer-Encoding: " + head[20:40]
    for opening in (head, kind + b"\r\n"):
        assert all(number.count("-") == 2 for number in numbers_in(opening, text))


@pytest.mark.parametrize(
    "wrong",
    [
        {"senders": ()}, {"senders": ("rakuten",)}, {"senders": ('a" OR "@b.example',)}, {"senders": ("a@b.c\r\nX",)},
        {"folder": "IN\r\nBOX"}, {"folder": ""}, {"user": "a b"}, {"host": ""}, {"host": "a b"}, {"port": 0},
        {"look_seconds": 0}, {"look_seconds": 21}, {"login": "x"},
    ],
)  # fmt: skip
def test_settings_that_a_mail_server_would_misread_are_refused(mall: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="MailSettings"):
        MailSettings(**{**mall.emulator.mail_settings(), **wrong})
