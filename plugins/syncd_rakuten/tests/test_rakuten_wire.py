"""Wire cases: what a call sends, and what an answer becomes. One folder of `testcases/` is one case."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from syncd.sdk.channel import Channel
from syncd.testing.wire_cases import WireContract
from syncd_rakuten.channel import RakutenChannel
from syncd_rakuten.shipments import Row, body_of
from syncd_rakuten.wire import expiry_of, listings_of, order_time, pair_of, read_time


class TestWire(WireContract):
    channel_type = RakutenChannel
    cases = Path(__file__).parent.parent / "testcases"

    def settings(self) -> Mapping[str, object]:
        return {"shop_url": "shop", "service_secret": SecretStr("secret"), "license_key": SecretStr("key")}

    async def run(self, channel: Channel, request: Mapping[str, Any]) -> object:
        assert isinstance(channel, RakutenChannel)
        api = channel._api
        match request["call"]:
            case "search_orders":
                start, end = datetime.fromisoformat(request["start"]), datetime.fromisoformat(request["end"])
                return await api.search_orders(start, end, request["statuses"], request["page"], request["rows"])
            case "update_shipping":
                rows = [Row(row["basket"], row["fields"]) for row in request["rows"]]
                return [str(one) for one in await api.update_shipping(body_of(request["order"], rows))]
            case "get_orders":
                return await api.get_orders(request["numbers"])
        return await super().run(channel, request)


def test_order_times_are_written_without_colon_and_fraction() -> None:
    assert order_time(datetime(2026, 11, 20, 23, 59, 59, 999_999, tzinfo=UTC)) == "2026-11-21T08:59:59+0900"


@pytest.mark.parametrize("text", ["2026-11-21T08:00:00+0900", "2026-11-21T08:00:00+09:00", "2026-11-21T08:00:00"])
def test_every_spelling_of_a_time_is_read_as_japans(text: str) -> None:
    assert read_time(text) == datetime(2026, 11, 20, 23, tzinfo=UTC)


def test_manage_number_is_folded_and_variant_id_kept() -> None:
    assert pair_of("Tee-001/Tee-001-S").listing == "tee-001/Tee-001-S"


@pytest.mark.parametrize("key", ["", "tee", "/s", "tee/", "tee/a b", "tee/" + "x" * 33, "ティー/s", "tee/a/b"])
def test_a_key_that_rakuten_could_not_hold_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="is not manageNumber/variantId"):
        pair_of(key)


def test_a_day_of_expiry_means_its_last_second_in_japan() -> None:
    ends = expiry_of({"expiryDate": "2027-02-19"})
    assert ends.date() == date(2027, 2, 19)
    assert ends.astimezone(UTC) == datetime(2027, 2, 19, 14, 59, 59, tzinfo=UTC)


def test_listings_carry_sku_name_jan_and_whether_they_are_counted() -> None:
    variants = {
        "s": {
            "merchantDefinedSkuId": "T-S",
            "selectorValues": {"size": "S"},
            "articleNumber": {"value": "4901234567894"},
        },
        "m": {"selectorValues": None, "articleNumber": None, "backOrderFlag": True},
    }
    item = {"manageNumber": "TEE", "title": "シャツ", "unlimitedInventoryFlag": False, "variants": variants}
    small, medium = listings_of({"results": [{"item": item}, {"item": {"manageNumber": "deleted"}}, {}]})
    assert (small.key, small.sku, small.name, small.jan) == ("tee/s", "T-S", "シャツ S", "4901234567894")
    assert small.counted
    assert not medium.counted  # it sells on at 0
