"""Proposals go out as a CSV, are decided by a person, and come back."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, FakeApi


def proposal(listing: str, match: str, sku: str | None, **more: Any) -> dict[str, Any]:
    plain = {
        "name": "",
        "shop_sku": "",
        "jan": "",
        "shows": 1,
        "known": True,
        "state": "ours",
        "pack": 1,
        "problem": "",
    }
    return {**plain, "listing": listing, "match": match, "sku": sku, "candidates": [sku] if sku else [], **more}


PROPOSALS = [
    proposal("a", "mapped", "red-mug"),
    proposal("b", "equal", "red-mug", known=False),
    proposal("c", "folded", "blue-mug", pack=6),
    proposal("d", "ambiguous", None, candidates=["red-mug", "blue-mug"]),
    proposal("e", "none", None, state="skip"),
]


def written(cli: Cli, api: FakeApi, path: Path) -> list[dict[str, str]]:
    document = {"changes": [], "applied": False, "proposals": PROPOSALS, "notes": []}
    api.answers["/listings/fetch"] = (200, document)
    result = cli("listings", "proposals", "--shop", "rakuten-main", "--csv", str(path))
    assert result.exit_code == 0, result.stderr
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_what_is_certain_stands_in_sku_and_the_rest_waits_for_a_yes(cli: Cli, api: FakeApi, tmp_path: Path) -> None:
    rows = written(cli, api, tmp_path / "p.csv")
    assert [(row["key"], row["sku"], row["proposed"], row["confirm"], row["candidates"]) for row in rows] == [
        ("b", "red-mug", "", "", ""),
        ("c", "", "blue-mug", "", ""),
        ("d", "", "", "", "red-mug blue-mug"),
        ("e", "", "", "", ""),
    ]
    assert api.changes()[-1].body == {"shop": "rakuten-main", "preview": True}


def test_an_unedited_file_confirms_only_what_was_certain(cli: Cli, api: FakeApi, tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    written(cli, api, path)
    assert cli("listings", "import", str(path), "--yes").exit_code == 0
    asked = api.changes()[-1]
    assert asked.path == "/listings"
    assert asked.body["shop"] == "rakuten-main"
    assert asked.body["items"] == [{"key": "b", "sku": "red-mug", "pack": 1}, {"key": "e", "state": "skip"}]


def test_a_yes_takes_the_proposed_sku_with_its_pack(cli: Cli, api: FakeApi, sheet: Callable[..., str]) -> None:
    path = sheet(
        "shop,key,sku,proposed,confirm,pack,match,candidates\n"
        "rakuten-main,c,,blue-mug,はい,6,folded,\n"
        "rakuten-main,c2,,blue-mug,yes,6,folded,\n"
        "rakuten-main,d,red-mug,,,,ambiguous,red-mug blue-mug\n"
        "rakuten-main,f,,red-mug,no,,jan,\n"
    )
    assert "csv:2: column 5 (confirm)" in cli("listings", "import", path, "--yes").stderr
    path = sheet(Path(path).read_text(encoding="utf-8").replace("はい", ""))
    assert cli("listings", "import", path, "--yes").exit_code == 0
    assert api.changes()[-1].body["items"] == [
        {"key": "c2", "sku": "blue-mug", "pack": 6}, {"key": "d", "sku": "red-mug"},
    ]  # fmt: skip


def test_contradictions_are_named_and_nothing_is_asked(cli: Cli, api: FakeApi, sheet: Callable[..., str]) -> None:
    path = sheet(
        "shop,key,sku,proposed,confirm\nrakuten-main,a,,,yes\nrakuten-main,b,red-mug,blue-mug,yes\n"
        "rakuten-main,b,red-mug,,\n"
    )
    told = cli("listings", "import", path, "--yes").stderr
    for said in ("csv:2: column 5 (confirm)", "csv:3: column 5 (confirm)", "csv:4: column 2 (key): b stands on line 3"):
        assert said in told
    assert api.changes() == []


def test_a_file_without_a_decision_changes_nothing(cli: Cli, api: FakeApi, sheet: Callable[..., str]) -> None:
    result = cli("listings", "import", sheet("shop,key,sku,proposed,confirm\nrakuten-main,a,,red-mug,\n"), "--yes")
    assert result.exit_code == 0
    assert api.changes() == []


def test_kinds_of_match_are_accepted_by_name(cli: Cli, api: FakeApi, sheet: Callable[..., str]) -> None:
    args = ["listings", "import", "--shop", "rakuten-main", "--accept", "folded", "--accept", "jan", "--yes"]
    assert cli(*args).exit_code == 0
    assert api.changes()[-1].body == {"shop": "rakuten-main", "accept": ["folded", "jan"], "preview": False}
    assert cli("listings", "import", sheet("key,sku\n"), "--accept", "jan").exit_code == 2


def test_options_are_set_by_name(cli: Cli, api: FakeApi) -> None:
    assert cli("listings", "set", "rakuten-main", "a/b", "lead_time_days=3", "restock_on=").exit_code == 0
    assert api.changes()[-1].body == {
        "shop": "rakuten-main", "listing": "a/b", "options": {"lead_time_days": "3", "restock_on": ""},
    }  # fmt: skip
    assert cli("listings", "set", "rakuten-main", "a/b", "lead_time_days").exit_code == 2
