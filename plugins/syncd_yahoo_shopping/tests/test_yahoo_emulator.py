"""The emulator keeps the rules of the fact sheet, seen by plain calls."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from syncd.testing.emulator import EmulatorTransport
from syncd_yahoo_shopping.emulator_account import CALLS_A_DAY, CLIENT_ID, CLIENT_SECRET

pytestmark = pytest.mark.anyio

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
BASE = "/ShoppingWebService/V1/"


def token_of(mall: Any) -> str:
    application = mall.emulator.application
    basic = "Basic " + base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
    form = {"grant_type": "refresh_token", "refresh_token": application.first_token}
    return str(application.token(basic, form)[1]["access_token"])


async def post(mall: Any, name: str, *, token: str | None = None, **request: Any) -> httpx.Response:
    """A plain call, a second after the last."""
    await mall.clock.advance(1)
    transport = EmulatorTransport(mall.emulator.app)
    headers = {"Authorization": f"Bearer {token or token_of(mall)}", **request.pop("headers", FORM)}
    async with httpx.AsyncClient(transport=transport, base_url="https://circus.example", trust_env=False) as client:
        return await client.post(BASE + name, headers=headers, **request)


async def set_stock(mall: Any, **form: str) -> httpx.Response:
    return await post(mall, "setStock", content=urlencode({"seller_id": "snbx-emulated", **form}))


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"item_code": "a b", "quantity": "1"}, "st-02101"),
        ({"item_code": ",".join(f"m-{i}" for i in range(1001)), "quantity": "1"}, "st-02102"),
        ({"item_code": "mug-0,mug-0", "quantity": "1,2"}, "st-02103"),
        ({"item_code": "mug-0,mug-2", "quantity": "1"}, "st-02105"),
        ({"item_code": "mug-0", "quantity": "1", "allow_overdraft": "2"}, "st-02106"),
        ({"item_code": "mug-0", "quantity": "1", "allow_overdraft": "0,0"}, "st-02107"),
        ({"seller_id": "other", "item_code": "mug-0", "quantity": "1"}, "st-02100"),
    ],
)
async def test_a_bad_list_fails_the_whole_call_by_its_code(mall: Any, form: dict[str, str], code: str) -> None:
    answer = await set_stock(mall, **form)
    assert answer.status_code == 400
    assert f"<Code>{code}</Code>" in answer.text
    assert mall.shown() == 500


@pytest.mark.parametrize("quantity", ["33.0", "INI", "", "1000000000", "--1", "+"])
async def test_a_bad_quantity_fails_its_row(mall: Any, quantity: str) -> None:
    answer = await set_stock(mall, item_code="mug-0,mug-2", quantity=f"{quantity},7")
    assert answer.status_code == 207
    assert answer.text.count("<ErrorCode>st-02104</ErrorCode>") == 1
    assert (mall.shown(0), mall.shown(2)) == (500, 7)


async def test_a_json_body_reads_as_if_the_seller_were_missing(mall: Any) -> None:
    answer = await post(
        mall, "setStock", json={"seller_id": "snbx-emulated"}, headers={"Content-Type": "application/json"}
    )
    assert "px-04001" in answer.text


async def test_an_unknown_code_is_kept_and_reads_as_not_found(mall: Any) -> None:
    assert (await set_stock(mall, item_code="new-1", quantity="7")).status_code == 200
    assert (await set_stock(mall, item_code="new-1", quantity="+2")).text.count("<Quantity>9</Quantity>") == 1
    form = urlencode({"seller_id": "snbx-emulated", "item_code": "new-1,mug-0"})
    answer = await post(mall, "getStock", content=form)
    assert 'ok="1" ng="1"' in answer.text
    assert "<ItemCode>new-1</ItemCode><SubCode></SubCode><Status>0</Status>" in answer.text


async def test_an_access_token_lives_an_hour(mall: Any) -> None:
    token = token_of(mall)
    form = urlencode({"seller_id": "snbx-emulated", "item_code": "mug-0"})
    await mall.clock.advance(3500)
    assert (await post(mall, "getStock", token=token, content=form)).status_code == 200
    await mall.clock.advance(100)
    answer = await post(mall, "getStock", token=token, content=form)
    assert answer.status_code == 401
    assert "expired token" in answer.headers["www-authenticate"]


async def test_an_order_call_without_a_signature_is_refused(mall: Any) -> None:
    answer = await post(mall, "orderList", content=b"<Req/>", headers={"Content-Type": "application/xml"})
    assert answer.status_code == 200
    assert answer.headers["x-sws-authorize-status"] != "authorized"


async def test_the_days_calls_end_for_the_whole_application(mall: Any) -> None:
    await set_stock(mall, item_code="mug-0", quantity="7")
    mall.emulator.application.calls_today = CALLS_A_DAY
    answer = await set_stock(mall, item_code="mug-0", quantity="8")
    assert answer.status_code == 403
    assert mall.emulator.violations == 1
    await mall.clock.advance(86_400)
    assert (await set_stock(mall, item_code="mug-0", quantity="8")).status_code == 200


async def test_a_stock_csv_without_its_field_names_is_refused(mall: Any) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nmug-0,,7\r\n\r\n--b--\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = await post(mall, "uploadStockFile?seller_id=snbx-emulated", content=body, headers=headers)
    assert answer.status_code == 400
    assert mall.emulator.stock.uploads == []
