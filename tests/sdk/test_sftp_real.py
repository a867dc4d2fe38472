"""SFTP against a real server on loopback: trust, sign-in, renames, and sessions that end in the middle."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import anyio
import anyio.lowlevel
import asyncssh
import pytest
from pydantic import SecretStr

from syncd.clock import SystemClock
from syncd.sdk.errors import BrokenAnswer, CallRefused, InDoubt, SignInRequired, Unavailable
from syncd.sdk.files import FilesAddress, RemoteFiles
from syncd.sdk.sftp import sftp_opener
from syncd.testing.sftp_server import LocalSftpServer

pytestmark = [pytest.mark.anyio, pytest.mark.real]

STRANGER = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()


@asynccontextmanager
async def session(address: FilesAddress) -> AsyncIterator[RemoteFiles]:
    files = sftp_opener(SystemClock())(address)
    try:
        yield files
    finally:
        await files.aclose()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[LocalSftpServer]:
    (tmp_path / "in").mkdir()
    async with LocalSftpServer(tmp_path) as running:
        yield running


async def test_a_file_is_written_listed_read_renamed_and_removed(server: LocalSftpServer) -> None:
    async with session(server.address()) as files:
        await files.write("in/stock.csv.tmp", b"a,1\r\n")
        await files.rename("in/stock.csv.tmp", "in/stock.csv")
        [file] = await files.list_files("in")
        content = await files.read("in/stock.csv", max_bytes=100)
        await files.remove("in/stock.csv")
        left = await files.list_files("in")
    assert (file.name, file.size, content, list(left)) == ("stock.csv", 5, b"a,1\r\n", [])
    assert abs((datetime.now(UTC) - file.modified_at).total_seconds()) < 60
    assert server.sign_ins == 1


async def test_folders_are_not_listed_as_files(server: LocalSftpServer) -> None:
    (server.folder / "in" / "done").mkdir()
    (server.folder / "in" / "注文.csv").write_bytes(b"x")
    async with session(server.address()) as files:
        assert [file.name for file in await files.list_files("in")] == ["注文.csv"]


@pytest.mark.parametrize("posix_rename", [True, False])
async def test_a_rename_replaces_the_file_of_that_name(server: LocalSftpServer, posix_rename: bool) -> None:
    server.posix_rename = posix_rename
    (server.folder / "in" / "stock.csv").write_bytes(b"old")
    async with session(server.address()) as files:
        await files.write("in/stock.csv.tmp", b"new")
        await files.rename("in/stock.csv.tmp", "in/stock.csv")
        assert await files.read("in/stock.csv", max_bytes=10) == b"new"
        assert [file.name for file in await files.list_files("in")] == ["stock.csv"]


@pytest.mark.parametrize("posix_rename", [True, False])
async def test_renaming_a_missing_file_removes_nothing(server: LocalSftpServer, posix_rename: bool) -> None:
    server.posix_rename = posix_rename
    (server.folder / "in" / "stock.csv").write_bytes(b"old")
    async with session(server.address()) as files:
        with pytest.raises(FileNotFoundError):
            await files.rename("in/none.tmp", "in/stock.csv")
    assert (server.folder / "in" / "stock.csv").read_bytes() == b"old"


async def test_missing_folders_and_files_are_told_apart(server: LocalSftpServer) -> None:
    async with session(server.address()) as files:
        with pytest.raises(CallRefused, match="no folder nowhere"):
            await files.list_files("nowhere")
        with pytest.raises(Unavailable, match="no such folder"):
            await files.write("nowhere/a.csv", b"x")
        with pytest.raises(FileNotFoundError):
            await files.read("in/none.csv", max_bytes=10)
        with pytest.raises(FileNotFoundError):
            await files.remove("in/none.csv")


async def test_a_file_beyond_the_cap_is_not_taken(server: LocalSftpServer) -> None:
    (server.folder / "in" / "big.csv").write_bytes(b"x" * 200_000)
    async with session(server.address()) as files:
        with pytest.raises(BrokenAnswer, match="larger than 1000"):
            await files.read("in/big.csv", max_bytes=1000)
        assert len(await files.read("in/big.csv", max_bytes=200_000)) == 200_000


async def test_an_unknown_host_key_is_refused_with_its_fingerprint(server: LocalSftpServer, tmp_path: Path) -> None:
    fingerprint = server.host_key.get_fingerprint()
    other_host = tmp_path / "known_hosts"
    other_host.write_text(f"elsewhere.example {STRANGER}\n")
    async with session(server.address(known_hosts=str(other_host))) as files:
        with pytest.raises(SignInRequired) as refused:
            await files.list_files("in")
    assert fingerprint in str(refused.value)
    assert server.sign_ins == 0, "no password may leave before the host is known"


async def test_a_changed_host_key_is_refused(server: LocalSftpServer) -> None:
    async with session(server.address(known_hosts=STRANGER)) as files:
        with pytest.raises(SignInRequired, match="known_hosts does not name: ssh-ed25519 SHA256:"):
            await files.list_files("in")
    assert server.sign_ins == 0


async def test_a_host_key_that_changes_while_running_is_refused(server: LocalSftpServer) -> None:
    async with session(server.address()) as files:
        await files.list_files("in")
        await server.stop()
        server.host_key = asyncssh.generate_private_key("ssh-ed25519")
        await server.start()
        with pytest.raises(SignInRequired):
            await files.list_files("in")


@pytest.mark.parametrize("known_hosts", ["", "/nowhere/known_hosts"])
async def test_without_known_hosts_nothing_is_dialled(server: LocalSftpServer, known_hosts: str) -> None:
    async with session(server.address(known_hosts=known_hosts)) as files:
        with pytest.raises(SignInRequired, match="known_hosts"):
            await files.list_files("in")
    assert server.sign_ins == 0


async def test_known_hosts_may_be_a_path_or_a_bare_key(server: LocalSftpServer, tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(server.known_hosts)
    bare = server.host_key.export_public_key().decode()
    for known_hosts in (str(path), bare):
        async with session(server.address(known_hosts=known_hosts)) as files:
            assert list(await files.list_files("in")) == []


async def test_a_wrong_password_is_tried_once_and_never_shown(server: LocalSftpServer) -> None:
    async with session(server.address(password=SecretStr("yesterday's word"))) as files:
        for _ in range(3):
            with pytest.raises(SignInRequired) as refused:
                await files.list_files("in")
            assert "yesterday" not in str(refused.value)
    assert server.sign_ins == 1


async def test_a_client_key_signs_in_without_a_password(server: LocalSftpServer) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    server.client_key = key
    secret = SecretStr(key.export_private_key().decode())
    async with session(server.address(password=None, client_key=secret)) as files:
        assert list(await files.list_files("in")) == []


async def test_a_client_key_that_is_none_needs_a_person(server: LocalSftpServer) -> None:
    async with session(server.address(password=None, client_key=SecretStr("not a key"))) as files:
        with pytest.raises(SignInRequired, match="client_key") as refused:
            await files.list_files("in")
    assert "not a key" not in str(refused.value)


async def test_a_refused_connection_changes_nothing(server: LocalSftpServer) -> None:
    address = server.address()
    await server.stop()
    async with session(address) as files:
        with pytest.raises(Unavailable):
            await files.write("in/a.csv", b"x")


async def test_a_session_is_opened_again_after_a_loss(server: LocalSftpServer) -> None:
    async with session(server.address()) as files:
        await files.list_files("in")
        server.hang_up()
        found = None
        while found is None:  # the call that meets the loss fails; the next one signs in anew
            with suppress(Unavailable):
                found = list(await files.list_files("in"))
        assert found == []
    assert server.sign_ins == 2


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_session_that_ends_at_a_rename_leaves_it_in_doubt(server: LocalSftpServer, when: str) -> None:
    (server.folder / "in" / "a.tmp").write_bytes(b"x")
    server.cut("rename", when)
    async with session(server.address()) as files:
        with pytest.raises(InDoubt):
            await files.rename("in/a.tmp", "in/a.csv")
        names = [file.name for file in await files.list_files("in")]
    assert names == (["a.tmp"] if when == "before" else ["a.csv"])


async def test_a_session_that_ends_at_a_write_leaves_half_a_file_in_doubt(server: LocalSftpServer) -> None:
    server.cut("write", "middle")
    async with session(server.address()) as files:
        with pytest.raises(InDoubt):
            await files.write("in/a.tmp", b"0123456789")
        assert await files.read("in/a.tmp", max_bytes=100) == b"01234"


async def test_a_session_that_ends_at_a_read_changes_nothing(server: LocalSftpServer) -> None:
    server.cut("list", "before")
    async with session(server.address()) as files:
        with pytest.raises(Unavailable):
            await files.list_files("in")
        assert list(await files.list_files("in")) == []


async def test_a_server_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        address = LocalSftpServer(tmp_path).address(timeout_seconds=0.2, port=port)
        async with session(address) as files:
            with pytest.raises(Unavailable, match="TimeoutError"):
                await files.list_files("in")


async def test_no_secret_reaches_the_log(server: LocalSftpServer, caplog: pytest.LogCaptureFixture) -> None:
    asyncssh.set_debug_level(2)
    caplog.set_level("DEBUG")
    async with session(server.address()) as files:
        await files.list_files("in")
    async with session(server.address(password=SecretStr("yesterday's word"))) as files:
        with pytest.raises(SignInRequired):
            await files.list_files("in")
    asyncssh.set_debug_level(1)
    assert caplog.records
    assert server.password not in caplog.text
    assert "yesterday" not in caplog.text


async def test_calls_of_several_loops_share_one_session(server: LocalSftpServer) -> None:
    async with session(server.address()) as files, anyio.create_task_group() as tasks:
        for n in range(8):
            tasks.start_soon(files.write, f"in/{n}.csv", b"x" * 1000)
    assert len(list((server.folder / "in").iterdir())) == 8
    assert server.sign_ins == 1


async def test_a_cancelled_call_leaves_the_session_usable(server: LocalSftpServer) -> None:
    (server.folder / "in" / "a.csv").write_bytes(b"x" * 100)
    async with session(server.address()) as files:
        await files.list_files("in")
        for turns in range(12):
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(cancel_after, scope, turns)
                    await files.read("in/a.csv", max_bytes=1000)
        assert await files.read("in/a.csv", max_bytes=1000) == b"x" * 100


async def cancel_after(scope: anyio.CancelScope, turns: int) -> None:
    for _ in range(turns):
        await anyio.lowlevel.checkpoint()
    scope.cancel()
