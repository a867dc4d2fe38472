"""Where a command finds the API, and what its exit code says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from syncd.config import Config
from syncd.store.engine import StoreRefused
from syncd.store.lock import LockHeld

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, FakeApi


def test_without_a_daemon_the_store_is_opened_in_this_process(cli: Cli, api: FakeApi) -> None:
    assert cli("shops").exit_code == 0
    assert api.opened == 1


def test_a_running_daemon_is_asked_over_http_and_the_store_left_alone(cli: Cli, api: FakeApi) -> None:
    cli.daemon_runs()
    assert cli("shops").exit_code == 0
    assert api.opened == 0
    assert [one.path for one in api.asked] == ["/plugins", "/shops"]


def test_a_lock_file_that_nobody_holds_leads_to_the_store(cli: Cli, api: FakeApi) -> None:
    cli.daemon_runs(holder="")
    assert cli("shops").exit_code == 0
    assert (api.opened, [one.path for one in api.asked]) == (1, ["/shops"])


def test_a_stranger_at_the_address_is_not_taken_for_the_daemon(cli: Cli, api: FakeApi) -> None:
    cli.daemon_runs()
    cli.stands(network=httpx.MockTransport(lambda request: httpx.Response(404, text="<html>")))
    assert cli("shops").exit_code == 0
    assert api.opened == 1


def test_a_store_in_use_without_an_api_is_named_with_the_way_out(cli: Cli) -> None:
    @asynccontextmanager
    async def held(_config: Config) -> AsyncIterator[tuple[Any, str]]:
        raise StoreRefused("in use") from LockHeld("in use")
        yield

    cli.stands(offline=held)
    result = cli("shops")
    assert result.exit_code == 1
    assert "127.0.0.1:8484" in result.stderr
    assert "journalctl" in result.stderr


def test_an_answer_that_got_lost_is_not_called_a_failure(cli: Cli) -> None:
    def lost(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"items": [{"name": "rakuten-main"}], "next": None})
        raise httpx.ReadError("reset")

    cli.daemon_runs()
    cli.stands(network=httpx.MockTransport(lost))
    result = cli("shops", "pause", "rakuten-main")
    assert result.exit_code == 1
    assert "not known" in result.stderr


def test_the_sentence_of_the_api_is_what_a_person_reads(cli: Cli, api: FakeApi) -> None:
    api.answers["/plugins"] = (409, {"error": "not now; try later", "where": "x"})
    result = cli("plugins")
    assert (result.exit_code, result.stderr, result.stdout) == (1, "Error: not now; try later\n", "")


def test_with_json_a_refusal_is_the_document_on_stdout(cli: Cli, api: FakeApi) -> None:
    api.answers["/plugins"] = (409, {"error": "not now", "where": "x"})
    result = cli("plugins", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"error": "not now", "where": "x"}


def test_a_fault_without_a_sentence_points_to_the_log(cli: Cli, api: FakeApi) -> None:
    api.answers["/plugins"] = (500, "oops")
    assert "log" in cli("plugins").stderr


@pytest.mark.parametrize("command", [["shops"], ["config", "show"], ["check"]])
def test_wrong_settings_end_with_78(cli: Cli, command: list[str]) -> None:
    cli.config.write_text("stat_dir = 1\n", encoding="utf-8")
    result = cli(*command)
    assert result.exit_code == 78
    assert "syncd.toml:1" in result.stderr
    assert "state_dir" in result.stderr


def test_wrong_usage_ends_with_2(cli: Cli) -> None:
    assert cli("stock", "set", "red-mug").exit_code == 2
    assert cli("sync", "--full", "--dry-run").exit_code == 2


def test_settings_are_named_by_option_as_well(cli: Cli, api: FakeApi) -> None:
    cli.config.rename(cli.config.with_name("other.toml"))
    assert cli("shops", "--config", str(cli.config.with_name("other.toml"))).exit_code == 0
    assert api.opened == 1


def test_all_pages_are_read_when_all_are_asked_for(cli: Cli) -> None:
    def page(request: httpx.Request) -> httpx.Response:
        after = int(request.url.params.get("after", 0))
        item = {"code": f"sku-{after}"}
        return httpx.Response(200, json={"items": [item], "next": after + 1 if after < 4 else None})

    cli.daemon_runs()
    cli.stands(network=httpx.MockTransport(page))
    assert [item["code"] for item in cli.json("skus", "--limit", "0")["items"]] == [f"sku-{at}" for at in range(5)]
    some = cli.json("skus", "--limit", "2")
    assert (len(some["items"]), some["next"]) == (2, 2)
