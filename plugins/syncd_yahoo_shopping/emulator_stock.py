"""The stock half of the emulator: setStock, getStock, stock CSV and listings over a `Market`.

Tests may script it: `row_errors` (listing -> code of a row that fails once, or ed-10002 for one that is written and
not read back), `whole_error` (code of a whole call), `busy` (publishing), `overdraft` (listings), `close`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from syncd.sdk.channel import Form
from syncd.testing.world import Market, Sent, TruthListing
from syncd_yahoo_shopping.emulator_xml import Answer, element, error, group, result_set, stamp

CODE = re.compile(r"[A-Za-z0-9-]{1,99}(:[A-Za-z0-9-]{1,99})?")
QUANTITY = re.compile(r"[+-]?\d{1,9}")
MOST_CODES = 1000
MOST_CSV_ROWS = 20_000
CSV_NAMES = {"code", "sub-code", "name", "quantity", "mode", "allow-overdraft", "stock-close"}
BUSY = "反映またはアップロード中のため更新ができません。"


@dataclass(slots=True)
class Upload:
    """A stock CSV that is worked off in the background."""

    due_at: datetime
    sent: Sent
    rows: list[dict[str, str]]


class StockDesk:
    """Answers stock and listing calls as (status, XML)."""

    def __init__(self, market: Market, quirk: Mapping[str, str], began: Callable[[], datetime], seller_id: str) -> None:
        self.market = market
        self.quirk = quirk
        self.began = began
        self.seller_id = seller_id
        self.orphans: dict[str, int] = {}
        self.closed: dict[str, int] = {}  # listings with the stock-close flag -> the number kept behind it
        self.overdraft: set[str] = set()
        self.row_errors: dict[str, str] = {}
        self.whole_error = ""
        self.busy = False
        self.uploads: list[Upload] = []

    def failed(self, code: str, message: str) -> Answer:
        """A whole failure. Which status goes with a code is not recorded: 400 and 500/503 are assumed, or 200."""
        system = {"st-02999": 500, "ed-00001": 500, "ed-00002": 503}
        return error(200 if self.quirk["error_status"] == "200" else system.get(code, 400), code, message)

    def _refusal(self, seller_id: str | None) -> Answer | None:
        if seller_id is None:
            return error(400, "px-04001", "seller_id is required")
        if seller_id != self.seller_id:
            return self.failed("st-02100", "seller_id() is invalid format.")
        if self.whole_error:
            return self.failed(self.whole_error, "system error")
        return None

    # -- setStock ------------------------------------------------------------------------------------------

    def set_stock(self, form: Mapping[str, str]) -> Answer:
        """Parallel lists; a bad list fails the call, a bad quantity its row."""
        if (refused := self._refusal(form.get("seller_id"))) is not None:
            return refused
        if self.busy or (self.uploads and self.quirk["while_uploading"] == "busy"):
            return error(400, "", BUSY)
        codes, quantities = form.get("item_code", "").split(","), form.get("quantity", "").split(",")
        overdraft = form["allow_overdraft"].split(",") if "allow_overdraft" in form else [""] * len(codes)
        closing = form["stock_close"].split(",") if "stock_close" in form else [""] * len(codes)
        refusal = self._bad_lists(codes, quantities, overdraft)
        if refusal is None and "stock_close" in form and self.quirk["stock_close_parameter"] == "refused":
            refusal = error(400, "px-04001", "stock_close is unknown")
        if refusal is not None:
            return refusal
        rows = [self._set_row(*row) for row in zip(codes, quantities, overdraft, closing, strict=True)]
        failed = any("<ErrorCode>" in row for row in rows)
        counts = {"totalResultsAvailable": len(rows), "totalResultsReturned": len(rows), "firstResultPosition": 1}
        return (207 if failed else 200), result_set(rows, **counts)

    def _bad_lists(self, codes: list[str], quantities: list[str], overdraft: list[str]) -> Answer | None:
        if any(not CODE.fullmatch(code) for code in codes):
            return self.failed("st-02101", "item_code() is invalid format.")
        if len(codes) > MOST_CODES:
            return self.failed("st-02102", "item_code is too many.")
        if len(set(codes)) < len(codes):
            return self.failed("st-02103", "item_code is duplicated.")
        if len(quantities) != len(codes):
            return self.failed("st-02105", "quantity: count does not match.")
        if len(overdraft) != len(codes):
            return self.failed("st-02107", "allow_overdraft: count does not match.")
        if any(one not in ("", "0", "1") for one in overdraft):
            return self.failed("st-02106", "allow_overdraft is invalid.")
        return None

    def _set_row(self, code: str, quantity: str, overdraft: str, closing: str) -> str:
        item, _, sub_code = code.partition(":")
        inner = element("ItemCode", item) + element("SubCode", sub_code)
        scripted = self.row_errors.pop(code, "")
        if scripted and scripted != "ed-10002":
            return group("Result", [inner, element("ErrorCode", scripted)])
        if not QUANTITY.fullmatch(quantity) or not self._allows(code, quantity):
            return group("Result", [inner, element("ErrorCode", "st-02104")])
        if overdraft:
            (self.overdraft.add if overdraft == "1" else self.overdraft.discard)(code)
        if closing == "0" and self.quirk["stock_close_parameter"] == "stock_close":
            self.release(code)
        after = self._apply(code, quantity)
        told = element("ErrorCode", scripted) if scripted else element("Quantity", after)
        return group("Result", [inner, told])

    def _allows(self, code: str, quantity: str) -> bool:
        relative = quantity[0] in "+-"
        return not (
            relative and self.quirk["below_zero"] == "refused" and (self._number(code) or 0) + int(quantity) < 0
        )

    def _apply(self, code: str, quantity: str) -> int:
        """The number after a write. An unknown code keeps it until an item of that code is registered."""
        relative, number = quantity[0] in "+-", int(quantity)
        if code in self.closed or self._listing(code) is None:
            kept = self.closed if code in self.closed else self.orphans
            kept[code] = (kept.get(code, 0) + number) if relative else number
            return kept[code]
        clamped = self.quirk["below_zero"] == "clamped"
        form = (Form.RELATIVE_CLAMPS if clamped else Form.RELATIVE_SILENT) if relative else Form.ABSOLUTE
        return self.market.write(code, form, number)

    def _listing(self, code: str) -> TruthListing | None:
        listing = self.market.listings.get(code)
        return listing if listing is not None and listing.exists else None

    def _number(self, code: str) -> int | None:
        listing = self._listing(code)
        if code in self.closed:
            return self.closed[code]
        return self.orphans.get(code) if listing is None else listing.shown

    # -- stock close ---------------------------------------------------------------------------------------

    def close(self, code: str) -> None:
        """Set the flag: the page shows sold out, whatever is written, until somebody releases it."""
        listing = self._listing(code)
        if listing is not None and code not in self.closed:
            self.closed[code] = listing.shown
            self.market.hand_edit(code, 0)

    def release(self, code: str) -> None:
        """Take the flag off; the number behind it shows again."""
        if code in self.closed:
            self.market.hand_edit(code, self.closed.pop(code))

    # -- getStock ------------------------------------------------------------------------------------------

    def get_stock(self, form: Mapping[str, str]) -> Answer:
        """Stock records, one for each code that was asked."""
        if (refused := self._refusal(form.get("seller_id"))) is not None:
            return refused
        codes = form.get("item_code", "").split(",")
        if any(not CODE.fullmatch(code) for code in codes):
            return self.failed("st-02101", "item_code() is invalid format.")
        if len(codes) > MOST_CODES:
            return self.failed("st-02102", "item_code is too many.")
        rows = [self._get_row(code) for code in codes]
        found = sum("<Status>1</Status>" in row for row in rows)
        counts = {"totalResultsAvailable": len(rows), "totalResultsReturned": len(rows), "firstResultPosition": 1}
        return 200, result_set(rows, **counts, ok=found, ng=len(rows) - found)

    def _get_row(self, code: str) -> str:
        item, _, sub_code = code.partition(":")
        inner = element("ItemCode", item) + element("SubCode", sub_code)
        listing = self.market.shows(code, self.began())
        if listing is None:
            known = code in self.orphans and self.quirk["orphan_status"] == "1"
            record = self._record(self.orphans[code], False, self.market.world.now()) if known else element("Status", 0)
            return group("Result", [inner, record])
        shown: int | str = listing.shown
        if code in self.closed and self.quirk["closed_shows"] == "number":
            shown = self.closed[code]
        updated = listing.updated_at or self.market.world.now()
        record = self._record(shown if listing.counted else "", code in self.overdraft, updated)
        return group("Result", [inner, record])

    @staticmethod
    def _record(quantity: int | str, overdraft: bool, updated: datetime) -> str:
        return (
            element("Status", 1)
            + element("Quantity", quantity)
            + element("AllowOverdraft", int(overdraft))
            + element("IsPublished", 1)
            + element("UpdateTime", stamp(updated))
        )

    # -- stock CSV -----------------------------------------------------------------------------------------

    def upload(self, seller_id: str | None, content: bytes) -> Answer:
        """Take a stock CSV in; it takes effect later, and nobody is told."""
        if (refused := self._refusal(seller_id)) is not None:
            return refused
        if self.busy:
            return error(400, "", BUSY)
        try:
            rows = list(csv.DictReader(io.StringIO(content.decode("cp932"), newline="")))
        except (UnicodeDecodeError, csv.Error):
            return self.failed("st-02101", "file cannot be read.")
        names = set(rows[0]) if rows else set()
        if not {"code", "quantity"} <= names <= CSV_NAMES or len(rows) > MOST_CSV_ROWS:
            return self.failed("st-02101", "file: field names or rows are wrong.")
        now, seconds = self.market.world.now(), int(self.quirk["upload_seconds"])
        self.uploads.append(Upload(now + timedelta(seconds=seconds), self.market.sent_now(), rows))
        return 200, result_set([group("Result", [element("Status", "OK")])])

    def settle(self) -> None:
        """Work off the uploads that are due."""
        due = [one for one in self.uploads if one.due_at <= self.market.world.now()]
        self.uploads = [one for one in self.uploads if one not in due]
        for upload in due:
            for row in upload.rows:
                self._upload_row(row, upload)

    def _upload_row(self, row: Mapping[str, str], upload: Upload) -> None:
        code = row["code"] + (f":{row['sub-code']}" if row.get("sub-code") else "")
        if row.get("stock-close") == "0":
            self.release(code)
        quantity = (row.get("mode") or "") + row["quantity"]
        if not QUANTITY.fullmatch(quantity) or not CODE.fullmatch(code):
            return
        if self._listing(code) is not None and code not in self.closed and quantity[0] not in "+-":
            self.market.write(code, Form.ABSOLUTE, int(quantity), sent=upload.sent)
        else:
            self._apply(code, quantity)

    # -- listings ------------------------------------------------------------------------------------------

    def items(self, query: Mapping[str, str]) -> Answer:
        """A page of items; a variant is not named here."""
        start, results = int(query.get("start", "1")), int(query.get("results", "10"))
        if query.get("seller_id") != self.seller_id or not 1 <= results <= 100 or start < 1:
            return error(400, "px-04001", "seller_id, start or results")
        codes = sorted({key.partition(":")[0] for key, one in self.market.listings.items() if one.exists})
        part = codes[start - 1 : start - 1 + results]
        rows = [
            group(
                "Result",
                [element("ItemCode", code), element("Name", f"品 {code}"), element("Quantity", self._told(code))],
            )
            for code in part
        ]
        counts = {"totalResultsAvailable": len(codes), "totalResultsReturned": len(part), "firstResultPosition": start}
        return 200, result_set(rows, **counts)

    def item(self, query: Mapping[str, str]) -> Answer:
        """One item with its variants."""
        code = query.get("item_code", "")
        subs = [key.partition(":")[2] for key, one in self.market.listings.items() if one.exists and _is_of(key, code)]
        if query.get("seller_id") != self.seller_id or not subs:
            return error(400, "ed-00006", "item not found")
        keys = {sub: f"{code}:{sub}" for sub in subs if sub}
        named = "".join(f'<SubCode code="{sub}" quantity="{self._told(key)}"></SubCode>' for sub, key in keys.items())
        return 200, result_set([group("Result", [element("ItemCode", code), f"<SubCodes>{named}</SubCodes>"])])

    def _told(self, key: str) -> int | str:
        """The number of a listing, empty where it is sold without end or its variants have the numbers."""
        listing = self._listing(key)
        return listing.shown if listing is not None and listing.counted else ""


def _is_of(key: str, code: str) -> bool:
    return key.partition(":")[0] == code
