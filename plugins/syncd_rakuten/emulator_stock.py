"""The stock half of the emulator: InventoryAPI 2.0 over a `Market`, rule by rule of the fact sheet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from syncd.sdk.channel import Form
from syncd.testing.world import Market, TruthListing
from syncd_rakuten.wire import ID_PATTERN, JST, listing_key

MOST_ROWS = 400
MOST_PAIRS = 1000
MOST_VARIANTS = 400
MOST_QUANTITY = 99_999
MOST_ID = 9
LONG_AGO = timedelta(days=320)
ORPHAN_LIFE = timedelta(hours=24)
FORMS = {"ABSOLUTE": Form.ABSOLUTE, "RELATIVE": Form.RELATIVE_REFUSES}

Refused = tuple[str, str, str]  # code, message, propertyPath
Result = tuple[int, dict[str, Any] | None]


@dataclass(slots=True)
class Orphan:
    """A stock record whose listing does not exist. Rakuten removes it 24 h after its last update."""

    quantity: int
    updated: datetime
    created: datetime


class StockDesk:
    """Answers stock calls as (status, body). `began` tells when the call being answered began."""

    def __init__(self, market: Market, quirk: Mapping[str, str], began: Callable[[], datetime]) -> None:
        self.market = market
        self.quirk = quirk
        self.began = began
        self.orphans: dict[str, Orphan] = {}
        self.created: dict[str, datetime] = {}  # of listings younger than LONG_AGO
        self.lead_times: dict[str, dict[str, Any]] = {}  # what 2.1 keeps beside the number

    # -- the calls -----------------------------------------------------------------------------------------

    def bulk_upsert(self, body: Any) -> Result:
        """Apply rows, or refuse all or only the bad ones, as the quirk `bad_rows_in_400` says."""
        rows = body.get("inventories") if isinstance(body, Mapping) else None
        if not isinstance(rows, list) or not rows:
            return self._refused([("IE0001", "inventories is mandatory.", "inventories")])
        if len(rows) > MOST_ROWS:
            return self._refused([("IE1101", f"Size of inventories must be within {MOST_ROWS}.", "inventories")])
        bad: dict[int, Refused] = {}
        seen: set[str] = set()
        for index, row in enumerate(rows):
            refused = self._check(row, f"inventories[{index}]")
            key = "" if refused else self._key(row["manageNumber"], row["variantId"])
            if refused is None and key in seen:
                refused = ("IE1102", "Duplicate manageNumber and variantId.", f"inventories[{index}]")
            seen.add(key)
            if refused is not None:
                bad[index] = refused
        if not bad or self.quirk["bad_rows_in_400"] == "valid_rows_applied":
            for index, row in enumerate(rows):
                if index not in bad:
                    self._apply(row)
        return self._refused(list(bad.values())) if bad else (204, None)

    def upsert(self, manage_number: str, variant_id: str, body: Any) -> Result:
        """Apply one row by its own path."""
        if not isinstance(body, Mapping):
            return self._refused([("GE0011", "Request body is empty.", "")])
        row = {**body, "manageNumber": manage_number, "variantId": variant_id}
        refused = self._check(row, "")
        if refused is not None:
            return self._refused([refused])
        self._apply(row)
        return 204, None

    def upsert_21(self, manage_number: str, variant_id: str, body: Any) -> Result:
        """Version 2.1: as 2.0, and what is left out of lead times and ship-from ids is deleted."""
        fields = body if isinstance(body, Mapping) else {}
        given = {name: fields[name] for name in ("operationLeadTime", "shipFromIds") if fields.get(name)}
        ids = [*given.get("operationLeadTime", {}).values(), *given.get("shipFromIds", ())]
        if not all(isinstance(one, int) and 1 <= one <= MOST_ID for one in ids):
            return self._refused([("IE0118", "The delivery time or ship-from id does not exist.", "operationLeadTime")])
        status, answer = self.upsert(manage_number, variant_id, body)
        if status == 204:
            self.lead_times[self._key(manage_number, variant_id)] = given
        return status, answer

    def bulk_get_21(self, body: Any) -> Result:
        """Version 2.1 of bulk-get: with lead times where they are set."""
        status, answer = self.bulk_get(body)
        if status == 200 and answer is not None:
            for record in answer["inventories"]:
                record |= self.lead_times.get(self._key(record["manageNumber"], record["variantId"]), {})
        return status, answer

    def bulk_get(self, body: Any) -> Result:
        """Stock records of up to 1000 pairs; pairs without one are left out."""
        pairs = body.get("inventories") if isinstance(body, Mapping) else None
        if not isinstance(pairs, list) or not pairs:
            return self._refused([("IE0001", "inventories is mandatory.", "inventories")])
        if len(pairs) > MOST_PAIRS:
            return self._refused([("IE1101", f"Size of inventories must be within {MOST_PAIRS}.", "inventories")])
        records = [self._record(str(pair.get("manageNumber")), str(pair.get("variantId"))) for pair in pairs]
        return 200, {"inventories": [record for record in records if record is not None]}

    def range(self, least: str | None, most: str | None) -> Result:
        """Stock records whose number is in a range, newest update first; more than a thousand are refused."""
        if least is None and most is None:
            return self._refused([("IE0105", "minQuantity or maxQuantity is mandatory.", "")])
        low, high = int(least or 0), int(most or MOST_QUANTITY)
        if low > high:
            return self._refused([("IE0113", "minQuantity is over maxQuantity.", "")])
        every = [self._record(*key.split("/")) for key in (*self.market.listings, *self.orphans)]
        hits = [record for record in every if record is not None and low <= record["quantity"] <= high]
        if len(hits) > MOST_PAIRS:
            return self._refused([("IE0116", f"Over {MOST_PAIRS} hits.", "")])
        return 200, {"inventories": sorted(hits, key=lambda record: str(record["updated"]), reverse=True)}

    def get(self, manage_number: str, variant_id: str) -> Result:
        """One stock record by its own path."""
        record = self._record(manage_number, variant_id)
        if record is None:
            message = f"Not found for inputs; manageNumber: {manage_number}, variantId: {variant_id}"
            return 404, {"errors": [{"code": "GE0014", "message": message}]}
        return 200, record

    # -- records -------------------------------------------------------------------------------------------

    def _key(self, manage_number: str, variant_id: str) -> str:
        key = listing_key(manage_number, variant_id)
        if self.quirk["variant_case"] == "kept":
            return key
        held = {known.lower(): known for known in (*self.orphans, *self.market.listings)}
        return held.get(key.lower(), key.lower())

    def _listing(self, key: str) -> TruthListing | None:
        listing = self.market.listings.get(key)
        return listing if listing is not None and listing.exists else None

    def _orphan(self, key: str) -> Orphan | None:
        orphan = self.orphans.get(key)
        if orphan is not None and self.market.world.now() - orphan.updated >= ORPHAN_LIFE:
            del self.orphans[key]
            return None
        return orphan

    def _quantity(self, key: str) -> int | None:
        listing, orphan = self._listing(key), self._orphan(key)
        if listing is not None:
            return listing.shown
        return None if orphan is None else orphan.quantity

    def _record(self, manage_number: str, variant_id: str) -> dict[str, Any] | None:
        key = self._key(manage_number, variant_id)
        listing, orphan = self.market.shows(key, self.began()), self._orphan(key)
        if listing is not None and listing.counted:
            quantity, updated = listing.shown, listing.updated_at
            created = self.created.get(key, self.market.world.now() - LONG_AGO)
        elif listing is None and orphan is not None:
            quantity, updated, created = orphan.quantity, orphan.updated, orphan.created
        else:
            return None
        told_manage, told_variant = key.split("/")
        if self.quirk["variant_case"] == "folded":
            told_variant = told_variant.lower()
        return {
            "manageNumber": told_manage,
            "variantId": told_variant,
            "quantity": quantity,
            "created": _stamp(created),
            "updated": _stamp(updated or self.market.world.now()),
        }

    # -- the rules -----------------------------------------------------------------------------------------

    def _check(self, row: Any, where: str) -> Refused | None:
        """What is wrong with a row, by the rules an emulator must keep."""
        dot = f"{where}." if where else ""
        if not isinstance(row, Mapping):
            return "IE0002", "Invalid row.", where
        for name in ("manageNumber", "variantId"):
            text = row.get(name)
            if not isinstance(text, str) or not text:
                return "IE0001", f"{name} is mandatory.", f"{dot}{name}"
            if len(text.encode()) > 32:
                return "IE0004", f"Max length of {name} must be within 32 bytes.", f"{dot}{name}"
            if not ID_PATTERN.fullmatch(text):
                return "IE0002", f"{name} holds a character that is not allowed.", f"{dot}{name}"
        mode, quantity = row.get("mode"), row.get("quantity")
        if mode not in FORMS:
            return ("IE0001" if mode is None else "IE0002"), "mode must be ABSOLUTE or RELATIVE.", f"{dot}mode"
        if type(quantity) is not int:
            return ("IE0001" if quantity is None else "IE0002"), "quantity must be a number.", f"{dot}quantity"
        return self._check_quantity(row, mode, quantity, dot)

    def _check_quantity(self, row: Mapping[str, Any], mode: str, quantity: int, dot: str) -> Refused | None:
        key = self._key(row["manageNumber"], row["variantId"])
        before = self._quantity(key)
        if mode == "ABSOLUTE":
            if not 0 <= quantity <= MOST_QUANTITY:
                return "IE0003", f"quantity must be within 0 and {MOST_QUANTITY}.", f"{dot}quantity"
            if before is None and self._variants(row["manageNumber"]) >= MOST_VARIANTS:
                return "IE0121", f"Over {MOST_VARIANTS} variants under one manageNumber.", f"{dot}variantId"
            return None
        if before is None:
            return "IE0500", "The inventory to change does not exist.", f"{dot}variantId"
        if not 0 <= before + quantity <= MOST_QUANTITY:
            return "IE0117", f"The result must be within 0 and {MOST_QUANTITY}.", f"{dot}quantity"
        return None

    def _variants(self, manage_number: str) -> int:
        prefix = f"{manage_number.lower()}/"
        return sum(1 for key in {*self.orphans, *self.market.listings} if key.startswith(prefix))

    def _apply(self, row: Mapping[str, Any]) -> None:
        key = self._key(row["manageNumber"], row["variantId"])
        if self.quirk["lead_times_after_2_0"] == "cleared":
            self.lead_times.pop(key, None)
        if self._listing(key) is not None:
            self.market.write(key, FORMS[row["mode"]], row["quantity"])
            return
        before = self._orphan(key)
        base = before.quantity if before is not None and row["mode"] == "RELATIVE" else 0
        now = self.market.world.now()
        self.orphans[key] = Orphan(base + row["quantity"], now, now if before is None else before.created)

    def _refused(self, errors: list[Refused]) -> Result:
        told: list[dict[str, Any]] = []
        for code, message, path in errors:
            told.append({"code": code, "message": message})
            if path and self.quirk["row_names"] == "given":
                told[-1]["metadata"] = {"propertyPath": path}
        return 400, {"errors": told}


def _stamp(moment: datetime) -> str:
    return moment.astimezone(JST).isoformat(timespec="seconds")
