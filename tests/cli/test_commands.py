"""What each command asks of the API, and what it shows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from syncd.cli.doors import Doors
from syncd.config import Config

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, FakeApi


@pytest.mark.parametrize(
    ("args", "method", "path", "body"),
    [
        (["shops", "start", "rakuten-main"], "POST", "/shops/rakuten-main/start", {}),
        (["shops", "pause", "rakuten-main"], "POST", "/shops/rakuten-main/pause", {}),
        (["shops", "resume", "rakuten-main"], "POST", "/shops/rakuten-main/resume", {}),
        (["approve", "rakuten-main"], "POST", "/approve", {"shop": "rakuten-main"}),
        (["approve", "rakuten-main", "a/b"], "POST", "/approve", {"shop": "rakuten-main", "listing": "a/b"}),
        (
            ["listings", "map", "rakuten-main", "mug:red/1", "--sync", "off"],
            "POST",
            "/listings",
            {"shop": "rakuten-main", "items": [{"key": "mug:red/1", "sync": False}]},
        ),
        (
            ["listings", "map", "rakuten-main", "mug:red/1", "--sku", "red-mug", "--pack", "2", "--state", "ours"],
            "POST",
            "/listings",
            {"shop": "rakuten-main", "items": [{"key": "mug:red/1", "sku": "red-mug", "pack": 2, "state": "ours"}]},
        ),
        (["sync"], "POST", "/sync", {"shop": None, "full": False, "dry_run": False}),
        (["sync", "--full"], "POST", "/sync", {"shop": None, "full": True, "dry_run": False}),
        (
            ["holds", "add", "rakuten-main", "x1", "auction/mug", "3"],
            "POST",
            "/holds",
            {"shop": "rakuten-main", "hold": "x1", "listing": "auction/mug", "units": 3, "note": ""},
        ),
        (["holds", "won", "rakuten-main", "x1"], "POST", "/holds/rakuten-main/x1/won", {"units": 1, "note": ""}),
        (
            ["holds", "release", "rakuten-main", "x1", "--given", "all"],
            "POST",
            "/holds/rakuten-main/x1/release",
            {"given": "all", "note": ""},
        ),
        (["orders", "close", "shopify-jp", "1/2"], "POST", "/orders/shopify-jp/1%2F2/close", {"note": ""}),
        (["rules", "set", "hold-back", "-2"], "PUT", "/rules", {"items": [{"rule": "hold_back", "value": -2}]}),
        (
            ["rules", "set", "cap", "none", "--sku", "red-mug", "--shop", "shopify-jp"],
            "PUT",
            "/rules",
            {"items": [{"rule": "cap", "value": None, "shop": "shopify-jp", "sku": "red-mug"}]},
        ),
        (
            ["stock", "set", "red-mug", "7", "--note", "shelf"],
            "POST",
            "/stock/set",
            {"items": [{"sku": "red-mug", "location": "main", "number": 7}], "note": "shelf"},
        ),
        (
            ["stock", "adjust", "red-mug", "-3", "--key", "k"],
            "POST",
            "/stock/adjust",
            {"items": [{"sku": "red-mug", "location": "main", "by": -3}], "note": "", "key": "k"},
        ),
        (
            ["stock", "count", "red-mug", "5", "--location", "east"],
            "POST",
            "/stock/count",
            {"items": [{"sku": "red-mug", "location": "east", "number": 5}], "note": ""},
        ),
    ],
)  # fmt: skip
def test_a_command_that_changes_asks_for_exactly_this(
    cli: Cli, api: FakeApi, args: list[str], method: str, path: str, body: Mapping[str, Any]
) -> None:
    result = cli(*args)
    assert result.exit_code == 0, result.output
    assert [(one.method, one.path, one.body) for one in api.changes()] == [(method, path, body)]


@pytest.mark.parametrize(
    ("args", "path", "params"),
    [
        (["orders", "--open", "--number", "7"], "/orders", {"number": "7", "open": "true", "limit": "100"}),
        (["orders", "--short"], "/orders/short", {}),
        (["listings", "--wrong", "--state", "ours"], "/listings", {"state": "ours", "wrong": "true", "limit": "100"}),
        (["log", "red-mug", "--limit", "5"], "/entries", {"sku": "red-mug", "limit": "5"}),
        (["alarms"], "/alarms", {"open": "true", "limit": "500"}),
        (["alarms", "--all"], "/alarms", {"open": "false", "limit": "500"}),
        (["plugins"], "/plugins", {}),
        (["status"], "/status", {}),
        (["rules", "--shop", "shopify-jp"], "/rules", {"shop": "shopify-jp"}),
        (["stock", "--query", "mug"], "/stock", {"query": "mug", "limit": "100"}),
        (["why", "rakuten-main", "mug:red/1"], "/why/rakuten-main/mug%3Ared%2F1", {}),
    ],
)  # fmt: skip
def test_a_command_that_looks_asks_for_exactly_this(
    cli: Cli, api: FakeApi, args: list[str], path: str, params: dict[str, str]
) -> None:
    result = cli(*args)
    assert result.exit_code == 0, result.output
    assert (api.asked[-1].path, dict(api.asked[-1].params)) == (path, params)
    assert api.changes() == []


def test_a_count_carries_its_time_with_a_zone(cli: Cli, api: FakeApi) -> None:
    cli("stock", "count", "red-mug", "5", "--at", "2026-11-20T18:00:00+09:00")
    [asked] = api.changes()
    assert asked.body["items"][0]["at"].startswith("2026-11-20T")
    assert cli("stock", "count", "red-mug", "5", "--at", "yesterday").exit_code == 2


def test_stock_is_shown_with_the_terms_of_both_languages(cli: Cli) -> None:
    result = cli("stock", "show", "red-mug")
    heading, line = result.stdout.splitlines()
    for term in ("on hand 実在庫", "deliverable 配送可在庫", "free フリー在庫"):
        assert term in heading
    assert line.split() == ["red-mug", "main", "10", "2", "1", "9", "7"]


def test_oversold_stock_is_said_in_words(cli: Cli, api: FakeApi) -> None:
    api.numbers["red-mug"] = 0
    assert "1 oversold (売り越し)" in cli("stock", "show", "red-mug").stdout


def test_the_dry_run_lists_each_number_and_writes_nothing(cli: Cli, api: FakeApi) -> None:
    change = {"shop": "shopify-jp", "listing": "9", "sku": "red-mug", "shows": 3, "would_show": 0, "why": "sold"}
    api.answers["/sync"] = (200, {"changes": [change], "listings": 7})
    result = cli("sync", "--dry-run")
    assert api.changes()[0].body["dry_run"] is True
    assert "反映する在庫数" in result.stdout
    assert "1 change in 7 listings; nothing was written" in result.stdout


def test_why_shows_the_chain_and_what_holds_the_number(cli: Cli, api: FakeApi) -> None:
    steps = [
        {"step": "on hand", "number": 10, "setting": ""},
        {"step": "hold-back", "number": 8, "setting": "2 by default"},
    ]
    document = {"steps": steps, "target": 8, "believed": 9, "fence": "held: brake", "told_at": "2026-11-21T00:00:00Z"}
    api.answers["/why/rakuten-main/x"] = (200, document)
    shown = cli("why", "rakuten-main", "x").stdout
    assert "2 by default" in shown
    assert "fence: held: brake" in shown
    assert cli.json("why", "rakuten-main", "x") == document


def test_a_code_of_another_case_or_width_is_suggested(cli: Cli) -> None:
    assert "no SKU Red-Mug; did you mean red-mug" in cli("stock", "show", "Red-Mug").stderr
    result = cli("shops", "pause", "rakuten-mian")
    assert (result.exit_code, result.stderr) == (1, "Error: no shop rakuten-mian; did you mean rakuten-main?\n")


def test_an_unknown_listing_is_suggested(cli: Cli, api: FakeApi) -> None:
    api.answers["/why/rakuten-main/mug%3Ared"] = (404, {"error": "no such listing"})
    assert "did you mean mug:red/1" in cli("why", "rakuten-main", "mug:red").stderr


def test_lost_zeros_are_named_for_a_typed_code_too(cli: Cli) -> None:
    assert "the SKU is 00123" in cli("log", "123").stderr


def test_control_characters_of_a_shop_never_reach_the_terminal(cli: Cli, api: FakeApi) -> None:
    api.answers["/plugins"] = (200, {"items": [{"entry_point": "evil\x1b[2J", "error": "two\nlines"}], "next": None})
    shown = cli("plugins").stdout
    assert "\x1b" not in shown
    assert "two lines" in shown


def test_rebooking_is_shown_first_and_applied_with_yes(cli: Cli, api: FakeApi) -> None:
    refused = cli("orders", "rebook", "rakuten-main", "1", "2")
    assert (refused.exit_code, refused.stderr) == (1, "Error: nothing was changed; add --yes to apply it\n")
    assert [one.body["preview"] for one in api.changes()] == [True]
    assert cli("orders", "rebook", "rakuten-main", "1", "2", "--yes").exit_code == 0
    assert api.changes()[-1].body == {"shop": "rakuten-main", "numbers": ["1", "2"], "preview": False}


def test_what_needs_a_yes_is_one_document_with_json_too(cli: Cli) -> None:
    document = cli.json("stock", "open", "--from", "rakuten-main")
    assert document["applied"] is False
    assert document["changes"]
    assert "--yes" in document["error"]


def test_a_preview_ends_well(cli: Cli, api: FakeApi) -> None:
    result = cli("stock", "open", "--sum", "rakuten-main", "--sum", "shopify-jp", "--preview")
    assert result.exit_code == 0
    assert [one.body for one in api.changes()] == [{"sum_shops": ["rakuten-main", "shopify-jp"], "preview": True}]


def test_opening_stock_wants_one_source(cli: Cli) -> None:
    assert cli("stock", "open").exit_code == 2
    assert cli("stock", "open", "--from", "rakuten-main", "--sum", "shopify-jp").exit_code == 2


def test_backup_gives_the_daemon_a_whole_path(cli: Cli, api: FakeApi, tmp_path: Path) -> None:
    api.answers["/backup"] = (200, {"path": "x", "bytes": 1})
    assert cli("backup", "copy.sqlite").exit_code == 0
    assert Path(api.changes()[0].body["path"]).is_absolute()


def test_run_and_demo_hand_their_exit_code_on(cli: Cli) -> None:
    given: list[Any] = []
    cli.stands(run=lambda path: given.append(path) or 7, demo=lambda **options: given.append(options) or 3)
    assert cli("run").exit_code == 7
    assert cli("demo", "--seconds", "5").exit_code == 3
    assert given == [cli.config, {"seconds": 5.0, "seed": 1, "svg": None, "as_json": False}]


@pytest.mark.parametrize(("ok", "code"), [(True, 0), (False, 1)])
def test_check_names_each_shop(cli: Cli, ok: bool, code: int) -> None:
    async def check(config: Config) -> list[dict[str, Any]]:
        return [{"shop": "rakuten-main", "ok": ok, "text": "said"}]

    cli.stands(check_shops=check)
    result = cli("check", "--json")
    assert result.exit_code == code
    assert json.loads(result.stdout)["shops"] == [{"shop": "rakuten-main", "ok": ok, "text": "said"}]


def test_check_tells_a_wrong_shop_file_once(cli: Cli) -> None:
    (cli.folder / "shops.d").mkdir()
    (cli.folder / "shops.d/new.toml").write_text("chanel = 'x'\n", encoding="utf-8")

    async def check(config: Config) -> list[dict[str, Any]]:
        return [{"shop": one.shop, "ok": False, "text": str(one)} for one in config.problems]

    cli.stands(check_shops=check)
    result = cli("check", "--json")
    told = [one["text"] for one in json.loads(result.stdout)["shops"]]
    assert (result.exit_code, len(told)) == (78, len(set(told)))


def test_check_over_the_real_application_prints_one_document(cli: Cli) -> None:
    (cli.folder / "shops.d").mkdir()
    shop = 'channel = "files"\n[files]\nhost = "127.0.0.1"\nuser = "shop"\npassword = { env = "NO_SUCH_VARIABLE" }\n'
    (cli.folder / "shops.d/mall.toml").write_text(shop, encoding="utf-8")
    cli.stands(check_shops=Doors().check_shops)
    result = cli("check", "--json")
    assert [one["ok"] for one in json.loads(result.stdout)["shops"]] == [False]
    assert result.stderr == ""


def test_alarms_show_since_when_and_how_often(cli: Cli, api: FakeApi) -> None:
    alarm = {"kind": "oversold", "raised_at": "2026-11-21T00:00:00+00:00", "times": 5}
    api.answers["/alarms"] = (200, {"items": [alarm], "next": None})
    heading = cli("alarms").stdout.splitlines()[0]
    assert "raised at" in heading
    assert "times" in heading


@pytest.mark.parametrize("args", [("stock", "set", "red-mug", "3"), ("rules", "set", "hold_back", "2")])
def test_a_correction_that_the_brake_holds_says_so(cli: Cli, api: FakeApi, args: tuple[str, ...]) -> None:
    answer = {"changes": [{}], "braked": ["rakuten-main"], "notes": ["said beside"]}
    api.answers |= {"/stock/set": (200, answer), "/rules": (200, answer)}
    shown = cli(*args).stdout
    assert "syncd approve rakuten-main" in shown
    assert "said beside" in shown


def test_a_number_below_0_is_refused_before_anything_is_asked(
    cli: Cli, api: FakeApi, sheet: Callable[..., str]
) -> None:
    assert "-4 is not in the range" in cli("stock", "set", "red-mug", "-4").stderr
    file = sheet("sku,number\nred-mug,-3\n")
    for command in ("open", "import"):
        result = cli("stock", command, file, "--yes")
        assert result.exit_code == 1
        assert f"{file}:2: column 2 (number): -3 should be at least 0" in result.stderr
    assert api.changes() == []


def test_an_export_with_oversold_stock_imports_again(cli: Cli, api: FakeApi, tmp_path: Path) -> None:
    api.numbers["red-mug"] = 0
    file = str(tmp_path / "all.csv")
    assert cli("stock", "export", file).exit_code == 0
    assert "nothing to change" in cli("stock", "import", file, "--yes").stdout


def test_making_skus_wants_a_file_that_names_them(cli: Cli, api: FakeApi) -> None:
    result = cli("listings", "import", "--shop", "rakuten-main", "--create-skus")
    assert (result.exit_code, api.changes()) == (2, [])
    assert "needs a FILE" in result.stderr


def test_approving_where_nothing_is_held_says_so(cli: Cli, api: FakeApi) -> None:
    api.answers["/approve"] = (200, {"changes": [], "notes": ["still held, each to be approved by name: mug"]})
    shown = cli("approve", "rakuten-main").stdout
    assert "nothing was held" in shown
    assert "approved by name: mug" in shown


def test_check_of_a_wrong_shop_file_ends_with_78(cli: Cli) -> None:
    (cli.folder / "shops.d").mkdir()
    (cli.folder / "shops.d/new.toml").write_text("chanel = 'x'\n", encoding="utf-8")
    result = cli("check", "--settings-only")
    assert result.exit_code == 78
    assert "new.toml" in result.stdout


def test_config_show_prints_no_pasted_secret(cli: Cli) -> None:
    (cli.folder / "shops.d").mkdir()
    text = 'channel = "rakuten"\n[rakuten]\nlicense_key = "sk-pasted"\nservice_secret = { env = "NAME" }\nitems = 3\n'
    (cli.folder / "shops.d/r.toml").write_text(text, encoding="utf-8")
    for shown in (cli("config", "show").stdout, cli("config", "show", "--json").stdout):
        assert "sk-pasted" not in shown
        assert "NAME" in shown
    assert cli.json("config", "show")["settings"]["batch"] == {"every_seconds": 180}


def test_the_sample_is_the_one_of_etc_and_the_schema_is_json(cli: Cli) -> None:
    assert cli("config", "sample").stdout.strip().startswith("# Settings of syncd")
    assert set(json.loads(cli("config", "schema").stdout)) == {"syncd.toml", "shop"}


def test_a_sign_in_shows_the_page_and_sends_what_is_typed(cli: Cli, api: FakeApi) -> None:
    path = "/shops/rakuten-main/sign-in"
    page = {"shop": "rakuten-main", "address": "https://signin.example/?a=1", "bring_back": "the whole address"}
    api.answers[path] = (200, page)
    result = cli("shops", "sign-in", "rakuten-main", typed="https://here.example/?code=canary-1\n")
    assert result.exit_code == 0
    assert "https://signin.example/?a=1" in result.stderr
    assert "bring back the whole address" in result.stderr
    assert result.stdout == "rakuten-main: signed in; syncd shops shows when it runs\n"
    assert [(one.path, one.body) for one in api.changes()] == [
        (path, {"brought_back": "https://here.example/?code=canary-1"})
    ]


def test_a_sign_in_without_an_answer_changes_nothing(cli: Cli, api: FakeApi) -> None:
    page = {"shop": "rakuten-main", "address": "https://signin.example/", "bring_back": "the whole address"}
    api.answers["/shops/rakuten-main/sign-in"] = (200, page)
    assert cli("shops", "sign-in", "rakuten-main", typed="").exit_code == 1
    assert api.changes() == []


def test_a_listing_that_is_not_known_is_not_mapped_but_suggested(cli: Cli, api: FakeApi) -> None:
    api.answers["/why/rakuten-main/mug%3Ared"] = (404, {"error": "no such listing"})
    result = cli("listings", "map", "rakuten-main", "mug:red", "--sync", "off")
    assert (result.exit_code, api.changes()) == (1, [])
    assert "mug:red/1" in result.output


def test_mapping_wants_to_know_what(cli: Cli, api: FakeApi) -> None:
    assert cli("listings", "map", "rakuten-main", "mug:red/1").exit_code == 2
    assert api.asked == []
