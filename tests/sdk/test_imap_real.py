"""IMAP over TLS against a server on loopback: trust, sign-in, what is asked, and answers nobody should believe."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from pydantic import SecretStr

from syncd.clock import SystemClock
from syncd.sdk.errors import BrokenAnswer, CallRefused, SignInRequired, Unavailable
from syncd.sdk.imap import imap_opener
from syncd.sdk.mail import MailAddress, Mailbox

from .imap_server import LocalImapServer, certificate

pytestmark = [pytest.mark.anyio, pytest.mark.real]

SENDER = "order@rakuten.co.jp"
HEAD = b"Received: by a\r\nFrom: Mall\r\n <order@rakuten.co.jp>\r\nSubject: hidden\r\n"
MAIL = HEAD + b"\r\n[1] 100001-20261121-0000000001\r\n"
NOW = datetime.now(UTC)


async def all_calls(mailbox: Mailbox) -> None:
    for mail in await unseen(mailbox):
        await mailbox.text(mail, 100)
        await mailbox.mark_seen([mail])


@asynccontextmanager
async def session(address: MailAddress) -> AsyncIterator[Mailbox]:
    mailbox = imap_opener(SystemClock())(address)
    try:
        yield mailbox
    finally:
        await mailbox.aclose()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[LocalImapServer]:
    async with LocalImapServer(certificate(tmp_path, "127.0.0.1")) as running:
        yield running


async def unseen(mailbox: Mailbox) -> list[str]:
    return list(await mailbox.unseen([SENDER], NOW - timedelta(days=2)))


async def test_a_new_mail_is_found_its_beginning_read_and_it_is_marked_as_seen(server: LocalImapServer) -> None:
    server.folder.put(MAIL, NOW)
    async with session(server.address()) as mailbox:
        [mail] = await unseen(mailbox)
        head, text = await mailbox.head(mail, 4096), await mailbox.text(mail, 30)
        assert server.folder.seen() == set(), "reading marks nothing"
        await mailbox.mark_seen([mail])
        assert await unseen(mailbox) == []
    assert head == b"From: Mall\r\n <order@rakuten.co.jp>\r\n\r\n"
    assert text == b"[1] 100001-20261121-0000000001"
    assert server.folder.seen() == {1}
    assert server.sign_ins == ["orders"]


async def test_mails_of_others_old_ones_and_seen_ones_are_not_found(server: LocalImapServer) -> None:
    server.folder.put(MAIL.replace(SENDER.encode(), b"friend@example.com"), NOW)
    server.folder.put(MAIL, NOW - timedelta(days=9))
    server.folder.mails[server.folder.put(MAIL, NOW)].seen = True
    ours = server.folder.put(MAIL, NOW)
    newer = server.folder.put(MAIL, NOW)
    async with session(server.address()) as mailbox:
        assert await unseen(mailbox) == [f"1-{newer}", f"1-{ours}"]


async def test_a_mail_that_is_gone_reads_as_nothing(server: LocalImapServer) -> None:
    async with session(server.address()) as mailbox:
        await unseen(mailbox)
        assert await mailbox.head("1-77", 100) == b""
        assert await mailbox.text("2-1", 100) == b"", "a number of an earlier numbering names no mail"
        await mailbox.mark_seen(["1-77", "2-1", "1-x"])
        await mailbox.mark_seen([])


async def test_a_certificate_that_nobody_vouches_for_is_refused_before_the_password(server: LocalImapServer) -> None:
    async with session(server.address(ca_file=None)) as mailbox:
        with pytest.raises(SignInRequired, match="certificate does not hold"):
            await unseen(mailbox)
    assert server.sign_ins == []


async def test_a_certificate_for_another_host_is_refused(tmp_path: Path) -> None:
    async with LocalImapServer(certificate(tmp_path, "mail.example")) as server, session(server.address()) as mailbox:
        with pytest.raises(SignInRequired, match="certificate does not hold"):
            await unseen(mailbox)
        assert server.sign_ins == []


async def test_a_missing_ca_file_needs_a_person(server: LocalImapServer) -> None:
    async with session(server.address(ca_file="/nowhere/ca.pem")) as mailbox:
        with pytest.raises(SignInRequired, match="ca_file /nowhere"):
            await unseen(mailbox)


async def test_a_wrong_password_is_tried_once_and_never_shown(server: LocalImapServer) -> None:
    async with session(server.address(password=SecretStr("yesterday's word"))) as mailbox:
        for _ in range(3):
            with pytest.raises(SignInRequired) as refused:
                await unseen(mailbox)
            assert "yesterday" not in str(refused.value)
    assert len(server.sign_ins) == 1


@pytest.mark.parametrize("password", ["日本", "a\r\nA1 LOGOUT"])
async def test_a_password_that_the_protocol_cannot_hold_is_refused(server: LocalImapServer, password: str) -> None:
    async with session(server.address(password=SecretStr(password))) as mailbox:
        with pytest.raises(CallRefused, match="printable ASCII"):
            await unseen(mailbox)
    assert server.sign_ins == []


async def test_a_server_that_cannot_now_is_asked_again(server: LocalImapServer) -> None:
    server.refuses = "[UNAVAILABLE]"
    async with session(server.address()) as mailbox:
        with pytest.raises(Unavailable):
            await unseen(mailbox)
        server.refuses = ""
        assert await unseen(mailbox) == []


async def test_a_missing_folder_is_named(server: LocalImapServer) -> None:
    async with session(server.address(folder='no "such')) as mailbox:
        with pytest.raises(CallRefused, match="no folder no"):
            await unseen(mailbox)


async def test_a_session_is_opened_again_after_a_loss(server: LocalImapServer) -> None:
    async with session(server.address()) as mailbox:
        await unseen(mailbox)
        server.hang_up()
        server.folder.numbering = 2
        server.folder.put(MAIL, NOW)
        found: list[str] = []
        while not found:  # the call that meets the loss fails; the next one signs in anew
            with suppress(Unavailable):
                found = await unseen(mailbox)
        assert found == ["2-1"]
    assert len(server.sign_ins) == 2


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("SEARCH", b"* SEARCH one two\r\nTAG OK done\r\n"),
        ("SEARCH", b"* SEARCH " + b"1 " * 600_000 + b"\r\nTAG OK done\r\n"),
        ("SEARCH", b"TAG NO never\r\n"),
        ("SEARCH", b"\xff\xfe\r\nTAG OK\r\n"),
        ("SEARCH", b"* BYE\r\n"),
        ("FETCH", b"* 1 FETCH (UID 1 BODY[TEXT]<0> {999999999}\r\n" + b"x" * 100_000),
        ("FETCH", b"* 1 FETCH (UID 1 BODY[TEXT]<0> {-1}\r\n)\r\nTAG NO\r\n"),
        ("STORE", b"TAG NO read-only\r\n"),
        ("STORE", b"TAG \xff\r\n"),
    ],
)
async def test_answers_nobody_should_believe_cost_the_call_only(
    server: LocalImapServer, word: str, says: bytes
) -> None:
    server.folder.put(MAIL, NOW)
    server.says[word] = says
    async with session(server.address(timeout_seconds=3.0)) as mailbox:
        with pytest.raises((Unavailable, BrokenAnswer)):
            await all_calls(mailbox)
        server.says.clear()
        with suppress(Unavailable):
            await unseen(mailbox)
        assert await unseen(mailbox) == ["1-1"]


async def test_more_than_was_asked_for_is_cut_off(server: LocalImapServer) -> None:
    server.folder.put(MAIL, NOW)
    server.says["FETCH"] = b"* 1 FETCH (UID 1 BODY[TEXT]<0> {2000}\r\n" + b"x" * 2000 + b")\r\nTAG OK done\r\n"
    async with session(server.address()) as mailbox:
        [mail] = await unseen(mailbox)
        assert await mailbox.text(mail, 100) == b"x" * 100


async def test_a_server_that_says_nothing_is_given_up_and_the_loop_goes_on(server: LocalImapServer) -> None:
    async with session(server.address(timeout_seconds=0.3)) as mailbox:
        server.silent = True
        with pytest.raises(Unavailable):
            await unseen(mailbox)


async def test_a_cancelled_call_leaves_the_mailbox_usable(server: LocalImapServer) -> None:
    async with session(server.address()) as mailbox:
        await unseen(mailbox)
        server.silent = True
        with anyio.move_on_after(0.1) as scope:
            await unseen(mailbox)
        assert scope.cancelled_caught
        server.silent = False
        assert await unseen(mailbox) == []
    assert len(server.sign_ins) == 2


async def test_no_secret_and_no_mail_reaches_the_log(server: LocalImapServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    server.folder.put(MAIL, NOW)
    async with session(server.address()) as mailbox:
        [mail] = await unseen(mailbox)
        await mailbox.text(mail, 100)
    assert server.folder.password not in caplog.text
    assert "100001" not in caplog.text
