"""Bytes <-> model: the cases of `testcases/`, and what holds for every text."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.model import LineState, OrderState, Source
from syncd.sdk.channel import Accepted, Form, Reason, Rejected, StockWrite
from syncd_files.orders import name_time, read_orders
from syncd_files.settings import Encoding, Header, Newline, OrderFileSettings, Quote, ResultSettings, StockSettings
from syncd_files.stock import (
    Receipt,
    build,
    file_name,
    is_leftover,
    is_ours,
    is_result_of,
    outcomes,
    read_results,
)
from syncd_files.wire import MAX_FIELD, BadTable, Unfinished, fits, fold, read_table, same_form, write_table

CASES = Path(__file__).parent.parent / "testcases"
NOW = datetime(2026, 11, 21, 3, 4, 5, tzinfo=UTC)
COLUMNS = {"品番": "{listing}", "在庫数": "{quantity}"}


def case(name: str) -> tuple[dict[str, Any], bytes, dict[str, Any]]:
    folder = CASES / name
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    return request, (folder / "answer.csv").read_bytes(), expected


def names(kind: str) -> list[str]:
    return sorted(folder.name for folder in CASES.iterdir() if folder.name.startswith(kind))


@pytest.mark.parametrize("name", names("stock_"))
def test_stock_file_is_written_to_the_byte(name: str) -> None:
    request, content, expected = case(name)
    rows = [StockWrite(listing, Form.ABSOLUTE, quantity) for listing, quantity in request["rows"]]
    file = build(StockSettings(**request["settings"]), rows)
    assert file.content == content
    assert [row.index for row in file.rejected] == expected["rejected"]
    assert all(row.reason is Reason.INVALID and row.message for row in file.rejected)
    assert sorted([*file.order, *expected["rejected"]]) == list(range(len(rows)))


def as_json(state: OrderState, wanted: dict[str, Any]) -> dict[str, Any]:
    def line(one: LineState) -> dict[str, Any]:
        return {name: getattr(one, name) for name in ("line", "listing", "ordered", "cancelled", "shipped", "returned")}

    told = {"number": state.number, "lines": [line(one) for one in state.lines]}
    for name in wanted.keys() - told.keys():
        value = getattr(state, name)
        told[name] = value.isoformat() if isinstance(value, datetime) else value
    return told


@pytest.mark.parametrize("name", [name for name in names("orders_") if "refused" not in case(name)[2]])
def test_order_file_is_read_as_states(name: str) -> None:
    request, content, expected = case(name)
    told = read_orders(content, OrderFileSettings(**request["settings"]), as_of=NOW)
    assert [as_json(s, w) for s, w in zip(told.states, expected["orders"], strict=True)] == expected["orders"]
    assert len(told.problems) == expected["problems"]
    assert {state.source for state in told.states} == {Source.FILE}


@pytest.mark.parametrize("name", [name for name in names("orders_") if "refused" in case(name)[2]])
def test_order_file_is_not_believed(name: str) -> None:
    request, content, expected = case(name)
    settings = OrderFileSettings(**request["settings"])
    if expected["refused"] == "Unfinished":
        with pytest.raises(Unfinished):
            read_orders(content, settings, as_of=NOW)
    else:
        with pytest.raises(BadTable) as refused:
            read_orders(content, settings, as_of=NOW)
        assert expected["refused"] in str(refused.value)


def test_no_prefix_of_an_order_file_gives_a_wrong_order_silently() -> None:
    """Cut anywhere, the file is refused, or gives only orders it really holds, with lines it really holds."""
    request, content, _ = case("orders_quoted_line_feeds_and_backslash_bytes")
    settings = OrderFileSettings(**{**request["settings"], "complete": False})
    whole = {(s.number, one.line): one for s in read_orders(content, settings, as_of=NOW).states for one in s.lines}
    believed = 0
    for end in range(len(content)):
        try:
            told = read_orders(content[:end], settings, as_of=NOW)
        except BadTable:
            continue
        for state in told.states:
            for one in state.lines:
                assert whole[state.number, one.line] == one
                believed += 1
    assert believed


# --- keys ---------------------------------------------------------------------------------------------------


def test_sheet_vectors_of_the_character_set() -> None:
    assert "\u301c".encode("cp932") == b"\x81\x60"
    assert b"\x81\x60".decode("cp932") == "\uff5e" == same_form("\u301c")
    assert "ソ".encode("cp932") == b"\x83\x5c"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ａ－１", "A-1"),
        ("a\u2010b", "a-b"),
        ("a\u2015b", "a-b"),
        ("a\u301cb", "a\uff5eb"),
        ("\u3000x ", "x"),
        ("ｶﾞ", "ガ"),
    ],
)
def test_keys_fold_for_comparison(one: str, other: str) -> None:
    assert fold(one) == fold(other)


def test_folding_keeps_case_and_leading_zeros() -> None:
    assert len({fold("00123"), fold("123"), fold("a"), fold("A")}) == 4


@pytest.mark.parametrize("text", ["😀", "𠮷", "한글", "¥100", "a\nb", "a\tb", "a\0b", "\ud800"])
def test_text_that_cp932_cannot_carry_does_not_fit(text: str) -> None:
    assert not fits(text, Encoding.CP932)


def test_text_that_cp932_can_carry_fits() -> None:
    assert all(fits(text, Encoding.CP932) for text in ("①㈱髙﨑", "～－∥—", "ソ能", "ｶﾅ", 'a"b,c', ""))


# --- tables -------------------------------------------------------------------------------------------------

BENT = "\u301c\u2212\u2016\u00a2\u00a3\u00ac"  # these come back as their twins
CELLS = st.text(st.characters(codec="cp932", exclude_categories=("Cc", "Cs"), include_characters=BENT), max_size=12)


@given(
    st.lists(st.tuples(CELLS, CELLS), max_size=8),
    st.sampled_from(Encoding),
    st.sampled_from(Newline),
    st.sampled_from(Quote),
)
def test_what_is_written_is_read_again(
    rows: list[tuple[str, str]], encoding: Encoding, newline: Newline, quote: Quote
) -> None:
    content = write_table([("k", "v"), *rows], encoding=encoding, newline=newline, quote=quote)
    table = read_table(content, ["v", "k"], encoding=encoding, header=Header.ON)
    read = [(table.cell(row, "k"), table.cell(row, "v")) for row in table.rows]
    form = same_form if encoding is Encoding.CP932 else str
    assert read == [(form(a).strip(" \t\u3000"), form(b).strip(" \t\u3000")) for a, b in rows]


def test_a_row_is_named_by_the_line_it_begins_at() -> None:
    table = read_table(b'k,v\r\n"a\r\nb",1\r\nc,2\r\n', ["k"], encoding=Encoding.UTF8, header=Header.ON)
    assert [row.line for row in table.rows] == [2, 4]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"k,v\n" + b"x" * (MAX_FIELD + 1) + b",1\n", "a field longer"),
        (b"k," * 501 + b"v\n", "more than 500 columns"),
        (b"k,v\n" + b"a,1\n" * 100_001, "more than 100000 rows"),
        (b'k,v\n"a"b,1\n', "line 2"),
    ],
)
def test_tables_beyond_the_caps_are_refused(content: bytes, fault: str) -> None:
    with pytest.raises(BadTable, match=fault):
        read_table(content, ["k"], encoding=Encoding.UTF8, header=Header.ON)


# --- names and receipts -------------------------------------------------------------------------------------


def timed(**other: Any) -> StockSettings:
    return StockSettings(folder="up", name="quantity%Y%m%d%H%M%S.csv", columns=COLUMNS, **other)


def test_the_time_in_a_name_is_the_shops_and_lies_ahead() -> None:
    settings = timed(name_ahead_seconds=300, name_step_seconds=60)
    assert file_name(settings, NOW, []) == "quantity20261121121000.csv"


def test_a_name_comes_after_every_file_that_lies_there() -> None:
    settings = timed(name_step_seconds=60)
    lying = ["quantity20261121121500.csv", "quantity20261121121200.csv", "zzz.csv"]
    assert file_name(settings, NOW, lying) == "quantity20261121121600.csv"


def test_only_names_that_we_give_are_ours() -> None:
    settings = timed()
    assert is_ours(settings, "quantity20261121121500.csv")
    assert is_leftover(settings, "quantity20261121121500.csv.tmp")
    for foreign in ("quantity.csv", "quantity2026112112150.csv", "item.csv.tmp", "quantity20261121121500.csv"):
        assert not is_leftover(settings, foreign)


@given(st.text(max_size=20), st.integers(1, 10**6), st.integers(0, 2 * 10**15))
def test_a_receipt_comes_back_from_its_text(listing: str, row: int, stamp_us: int) -> None:
    receipt = Receipt("stock.csv", row, stamp_us, listing)
    assert Receipt.parse(str(receipt)) == receipt


def test_result_files_are_found_by_stem_or_name() -> None:
    by_stem = ResultSettings(pattern="{stem}_error*.csv", listing="品番")
    assert is_result_of(by_stem, "stock.csv", "stock_error20261121.csv")
    assert not is_result_of(by_stem, "stock.csv", "option_error20261121.csv")
    assert is_result_of(
        ResultSettings(pattern="{name}.err", line=1, header=Header.OFF), "st[o]ck.csv", "st[o]ck.csv.err"
    )


def test_refused_rows_are_found_by_line_by_key_and_by_both() -> None:
    receipts = [Receipt("s.csv", row, 0, listing) for row, listing in ((1, "a～1"), (2, "b"), (3, "b"))]

    def rejected(settings: ResultSettings, content: str) -> list[int]:
        refused = read_results(settings, content.encode("cp932"))
        told = outcomes({str(one): one for one in receipts}, refused)
        return [one.row for one in receipts if isinstance(told[str(one)], Rejected)]

    line, key = ResultSettings(pattern="x", line="行"), ResultSettings(pattern="x", listing="品番")
    both = ResultSettings(pattern="x", line="行", listing="品番")
    assert rejected(line, "行\r\n3\r\n") == [2]
    assert rejected(key, "品番\r\nb\r\n") == [2, 3]
    assert rejected(key, "品番\r\na～1\r\n") == [1]
    assert rejected(both, "行,品番\r\n4,b\r\n") == [3]
    assert rejected(both, "行,品番\r\n1,\r\n") == []
    assert rejected(both, "行,品番\r\n,\r\n") == [1, 2, 3]


def test_reasons_that_mean_unknown_listing_are_told_apart() -> None:
    settings = ResultSettings(pattern="x", line="行", reason="理由", unknown_listing=("U-015-0033",))
    refused = read_results(settings, "行,理由\r\n2,U-015-0033 商品コードなし\r\n3,数量\r\n".encode("cp932"))
    told = outcomes({str(row): Receipt("s.csv", row, 0, "x") for row in (1, 2, 3)}, refused)
    assert told["1"] == Rejected(0, Reason.UNKNOWN_LISTING, "U-015-0033 商品コードなし")
    assert told["2"] == Rejected(1, Reason.OTHER, "数量")
    assert told["3"] == Accepted(2)


def test_a_refused_key_means_its_own_listing_before_one_that_folds_alike() -> None:
    refused = read_results(ResultSettings(pattern="x", listing="品番"), "品番\r\nA-1\r\n".encode("cp932"))
    wide, narrow = Receipt("s.csv", 1, 0, "Ａ－１"), Receipt("s.csv", 2, 0, "A-1")
    both = outcomes({"wide": wide, "narrow": narrow}, refused)
    assert [type(both["wide"]), type(both["narrow"])] == [Accepted, Rejected]
    assert isinstance(outcomes({"wide": wide}, refused)["wide"], Rejected)


def test_the_time_of_generation_is_read_from_the_name() -> None:
    request, _, _ = case("orders_next_engine")
    settings = OrderFileSettings(**{**request["settings"], "name_time": "orders_%Y%m%d%H%M%S.csv"})
    assert name_time("orders_20261121120405.csv", settings) == NOW
    assert name_time("other.csv", settings) is None
