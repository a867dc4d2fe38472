"""CSV files of people: nothing guessed, nothing run, nothing by half."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.cli.damage import looks_damaged, lost_zeros
from syncd.cli.refusal import WrongFile
from syncd.cli.sheet import FORMULA, Sheet, escaped, read_sheet, unescaped, written

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, FakeApi

Write = Callable[..., str]


def read(text: str | bytes, encoding: str = "utf-8") -> Sheet:
    raw = text.encode(encoding) if isinstance(text, str) else text
    return read_sheet(raw, "file.csv", ("sku", "name", "location", "number"), ("sku",))


@given(st.text())
def test_a_cell_comes_back_as_it_left_and_never_begins_as_a_formula(text: str) -> None:
    assert unescaped(escaped(text)) == text
    assert escaped(text)[:1] not in tuple(FORMULA)


def test_a_negative_number_stays_a_number() -> None:
    assert written(["sku", "free"], [{"sku": "-1", "free": -1}]).decode("utf-8-sig") == "sku,free\r\n'-1,-1\r\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932"])
def test_files_of_every_usual_encoding_are_read(encoding: str) -> None:
    sheet = read("商品コード,商品名\r\n赤-1,マグ ①\r\n\r\n", encoding)
    assert [dict(row.cells) for row in sheet.rows] == [{"sku": "赤-1", "name": "マグ ①"}]


def test_tabs_separate_as_well() -> None:
    assert read("sku\tnumber\na\t1\n").rows[0].cells == {"sku": "a", "number": "1"}


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"sku\na\n\xff\xfe\x80\n", "file.csv:3: byte 1 of the line is neither UTF-8 nor Shift_JIS"),
        ("sku\na\n".encode("utf-16"), "neither UTF-8 nor Shift_JIS"),
        (b"", "file.csv:1: is empty"),
        (b"sku\n", "file.csv:1: holds headings only"),
        (b"number\n1\n", "file.csv:1: no column sku"),
        (b"sku,numbr\na,1\n", "file.csv:1: column 2 (numbr): unknown heading; did you mean number?"),
        (b"sku,SKU\na,b\n", "file.csv:1: column 2 (SKU): the same column as column 1"),
        (b'sku\n"a"b\n', "file.csv:2: is not CSV"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_place(raw: bytes, told: str) -> None:
    with pytest.raises(WrongFile) as refused:
        read(raw)
    assert told in str(refused.value)


def test_a_row_with_more_cells_than_headings_is_a_mistake() -> None:
    sheet = read("sku,number\na,1,000\n")
    with pytest.raises(WrongFile, match=r"file.csv:2: 3 cells under 2 headings"):
        sheet.finish()


def test_the_line_of_a_row_is_where_it_begins() -> None:
    assert [row.line for row in read('sku,name\na,"two\nlines"\nb,x\n').rows] == [2, 4]


@pytest.mark.parametrize(
    ("text", "number"), [("5", 5), ("-5", -5), ("１２", 12), ('"1,200"', 1200), ("+3", 3), ("−4", -4)]
)
def test_numbers_as_people_write_them(text: str, number: int) -> None:
    sheet = read(f"sku,number\na,{text}\n")
    assert (sheet.whole(sheet.rows[0], "number"), sheet.problems) == (number, [])


@pytest.mark.parametrize("text", ["", "1.5", "12a", '"1,2"', "1e3", "#REF!"])
def test_what_is_no_whole_number_is_named(text: str) -> None:
    sheet = read(f"sku,number\na,{text}\n")
    sheet.whole(sheet.rows[0], "number")
    assert str(sheet.problems[0]).startswith("file.csv:2: column 2 (number): ")


@pytest.mark.parametrize("code", ["=1+1", "'=1+1", "＝cmd", "@x", "-a"])
def test_a_code_that_a_spreadsheet_would_run_is_refused(code: str) -> None:
    sheet = read(f"sku\n{code}\n")
    sheet.code(sheet.rows[0])
    assert "must not begin with" in str(sheet.problems[0])


@pytest.mark.parametrize(
    "code", ["4.9E+12", "4.90123E+12", "1月2日", "2-Jan", "Jan-02", "2026/1/2", "2026-01-02", "1/2"]
)
def test_codes_that_a_spreadsheet_damaged_are_recognised(code: str) -> None:
    assert looks_damaged(code) is not None


@pytest.mark.parametrize("code", ["red-mug", "1-2", "4901234567894", "E12", "12E", "2026-spring", "may", "mug/1"])
def test_ordinary_codes_are_not_suspected(code: str) -> None:
    assert looks_damaged(code) is None


def test_lost_zeros_are_found_only_where_the_full_code_exists() -> None:
    assert "the SKU is 0012" in (lost_zeros("12", ["0012", "7"]) or "")
    assert lost_zeros("12", ["120", "x12"]) is None


def test_an_import_shows_each_change_and_waits_for_a_yes(cli: Cli, api: FakeApi, sheet: Write) -> None:
    path = sheet("sku,number\nred-mug,3\nblue-mug,7\n")
    result = cli("stock", "import", path)
    assert result.exit_code == 1
    assert "red-mug" in result.stdout
    assert "blue-mug" not in result.stdout, "7 is what is free already"
    assert api.changes() == []
    assert cli("stock", "import", path, "--preview").exit_code == 0
    assert api.changes() == []


def test_an_import_with_yes_is_one_request(cli: Cli, api: FakeApi, sheet: Write) -> None:
    assert cli("stock", "import", sheet("sku,number\nred-mug,3\nmug-set,4\n"), "--yes").exit_code == 0
    [asked] = api.changes()
    assert asked.path == "/stock/set"
    assert [item["number"] for item in asked.body["items"]] == [3, 4]


def test_an_import_that_changes_nothing_asks_for_nothing(cli: Cli, api: FakeApi, sheet: Write) -> None:
    result = cli("stock", "import", sheet("sku,number\nred-mug,7\n"), "--yes")
    assert (result.exit_code, result.stdout, api.changes()) == (0, "nothing to change\n", [])


def test_one_wrong_line_keeps_the_whole_file_out(cli: Cli, api: FakeApi, sheet: Write) -> None:
    result = cli("stock", "import", sheet("sku,number\nred-mug,3\nblue-mug,many\nred-mug,4\n"), "--yes")
    assert result.exit_code == 1
    assert 'file.csv:3: column 2 (number): "many" should be a whole number' in result.stderr
    assert "file.csv:4: column 1 (sku): red-mug at main stands on line 2 already" in result.stderr
    assert result.stderr.endswith("Nothing was changed.\n")
    assert api.changes() == []


def test_every_mistake_is_in_the_document(cli: Cli, sheet: Write) -> None:
    document = cli.json("stock", "import", sheet("sku,number\nred-mug,x\n"))
    [problem] = document["problems"]
    assert (problem["line"], problem["column"], problem["heading"]) == (2, 2, "number")


def test_unknown_and_damaged_codes_are_named_by_line(cli: Cli, api: FakeApi, sheet: Write) -> None:
    rows = "sku,number\nRED-MUG,1\n123,1\n4.9E+12,1\n2026-01-02,1\n"
    errors = cli("stock", "import", sheet(rows), "--yes").stderr
    assert "file.csv:2: column 1 (sku): no SKU RED-MUG; did you mean red-mug?" in errors
    assert 'file.csv:3: column 1 (sku): "123" lost its leading zeros: the SKU is 00123' in errors
    assert 'file.csv:4: column 1 (sku): "4.9E+12" looks like a long number' in errors
    assert "file.csv:5" not in errors, "a SKU may have such a code"
    assert api.changes() == []


def test_the_same_adjustments_are_applied_once_unless_told(cli: Cli, api: FakeApi, sheet: Write) -> None:
    path = sheet("sku,by\nred-mug,-2\n")
    for more in ([], [], ["--again"]):
        assert cli("stock", "import", path, "--mode", "adjust", "--yes", *more).exit_code == 0
    first, second, third = [asked.body.get("key") for asked in api.changes()]
    assert first == second
    assert first
    assert third is None


def test_a_count_may_be_equal_and_carries_its_time(cli: Cli, api: FakeApi, sheet: Write) -> None:
    path = sheet("商品コード,実在庫\nred-mug,10\n", "cp932")
    assert cli("stock", "import", path, "--mode", "count", "--at", "2026-11-20T18:00Z", "--yes").exit_code == 0
    [asked] = api.changes()
    assert asked.path == "/stock/count"
    assert asked.body["items"][0]["at"]


def test_an_export_can_be_imported_again(cli: Cli, api: FakeApi, tmp_path: Path) -> None:
    path = tmp_path / "stock.csv"
    assert cli("stock", "export", str(path)).stdout == f"5 rows written to {path}\n"
    raw = path.read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    assert [row["free"] for row in csv.DictReader(io.StringIO(raw.decode("utf-8-sig")))] == ["7"] * 5
    assert cli("stock", "import", str(path), "--yes").stdout == "nothing to change\n"
    assert [left.name for left in tmp_path.iterdir() if left.name.startswith(".stock")] == []


def test_an_export_to_stdout_is_the_file_alone(cli: Cli) -> None:
    assert cli("listings", "export", "-").stdout_bytes.decode("utf-8-sig").splitlines() == [
        "shop,key,sku,pack,state,sync,name",
        "rakuten-main,mug:red/1,red-mug,,,yes,",
        "rakuten-main,mug:blue/1,red-mug,,,yes,",
    ]
    assert cli("listings", "export", "-", "--json").exit_code == 2


def test_an_export_that_cannot_be_written_leaves_nothing(cli: Cli, tmp_path: Path) -> None:
    result = cli("stock", "export", str(tmp_path / "no/such.csv"))
    assert (result.exit_code, "No such file" in result.stderr) == (1, True)


def test_listings_are_mapped_from_a_file_of_one_shop(cli: Cli, api: FakeApi, sheet: Write) -> None:
    path = sheet("shop,key,sku,pack,state,sync\nrakuten-main,k1,red-mug,2,ours,yes\nrakuten-main,k2,,,skip,no\n")
    assert cli("listings", "import", path, "--yes").exit_code == 0
    [asked] = api.changes()
    assert asked.body == {
        "shop": "rakuten-main",
        "items": [
            {"key": "k1", "sku": "red-mug", "pack": 2, "sync": True, "state": "ours"},
            {"key": "k2", "sku": None, "sync": False, "state": "skip"},
        ],
        "create_skus": False,
        "preview": False,
    }


def test_a_file_of_two_shops_is_refused_because_it_could_be_applied_by_half(
    cli: Cli, api: FakeApi, sheet: Write
) -> None:
    result = cli("listings", "import", sheet("shop,key,sku\nrakuten-main,a,red-mug\nshopify-jp,b,red-mug\n"), "--yes")
    assert 'file.csv:3: column 1 (shop): "shopify-jp" is not rakuten-main' in result.stderr
    assert api.changes() == []


def test_an_item_that_the_api_refuses_is_named_by_its_line(cli: Cli, api: FakeApi, sheet: Write) -> None:
    api.answers["/listings"] = (422, {"error": "no SKU green-mug", "where": "items[1].sku"})
    path = sheet("key,sku\na,red-mug\n\nb,green-mug\n")
    result = cli("listings", "import", path, "--shop", "rakuten-main", "--yes")
    assert "file.csv:4: column 2 (sku): no SKU green-mug" in result.stderr


def test_without_a_file_the_listings_of_the_shop_are_fetched(cli: Cli, api: FakeApi) -> None:
    assert cli("listings", "import").exit_code == 2
    assert cli("listings", "import", "--shop", "shopify-jp", "--preview").exit_code == 0
    assert [(one.path, one.body) for one in api.changes()] == [
        ("/listings/fetch", {"shop": "shopify-jp", "preview": True})
    ]


def test_damaged_codes_are_not_created(cli: Cli, api: FakeApi, sheet: Write) -> None:
    path = sheet("key,sku\na,4.9E+12\nb,new-mug\n")
    args = ["listings", "import", path, "--shop", "rakuten-main", "--create-skus", "--yes"]
    assert "file.csv:2" in cli(*args).stderr
    assert api.changes() == []
    assert cli(*args, "--as-is").exit_code == 0
    assert api.changes()[0].body["create_skus"] is True


def test_bundles_are_made_of_one_row_a_part(cli: Cli, api: FakeApi, sheet: Write) -> None:
    path = sheet("sku,name,part,pieces\nset,Set,red-mug,2\nset,,blue-mug,\nplain,Plain,,\n")
    assert cli("skus", "import", path, "--yes").exit_code == 0
    assert api.changes()[0].body["items"] == [
        {"code": "set", "name": "Set", "parts": {"red-mug": 2, "blue-mug": 1}},
        {"code": "plain", "name": "Plain"},
    ]


def test_stock_opens_from_a_file(cli: Cli, api: FakeApi, sheet: Write) -> None:
    assert cli("stock", "open", sheet("sku,number\nnew,3\n"), "--yes").exit_code == 0
    assert api.changes()[0].body == {"items": [{"sku": "new", "location": "main", "number": 3}], "preview": False}
