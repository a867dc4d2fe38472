"""The sign-in over its whole life: page, landing address, renewal, 28 days, one grant for several stores."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from syncd.sdk.channel import Accepted, Form, StockWrite
from syncd.sdk.errors import BrokenAnswer, SignInRequired, Unavailable
from syncd.sdk.grants import MemoryGrants
from syncd.testing.fakes import BudgetLimiter, ManualClock, spawn
from syncd_yahoo_shopping.emulator_account import Application
from syncd_yahoo_shopping.feed import READS

pytestmark = pytest.mark.anyio

NOT_YET = {"refresh_token": None}


async def signed_in(mall: Any) -> None:
    page = await mall.channel.sign_in_page()
    await mall.run(mall.channel.sign_in(mall.emulator.application.consent(page.address)))


async def test_a_person_signs_in_by_the_page_and_the_end_is_told(open_mall: Callable[..., Any]) -> None:
    mall = open_mall(settings={**NOT_YET, "public_key_expires": date(2027, 6, 1)})
    with pytest.raises(SignInRequired, match="nobody has signed in"):
        await mall.run(mall.channel.check())
    page = await mall.channel.sign_in_page()
    asked = parse_qs(urlsplit(page.address).query)
    assert urlsplit(page.address).path == "/yconnect/v2/authorization"
    assert {name: asked[name] for name in ("response_type", "scope", "bail")} == {
        "response_type": ["code"], "scope": ["openid profile"], "bail": ["1"],
    }  # fmt: skip
    assert mall.sent == []  # no call is made for the page
    began = mall.clock.now()
    await mall.run(mall.channel.sign_in(f"  {mall.emulator.application.consent(page.address)}\n"))
    report = await mall.run(mall.channel.check())
    assert report.account == "snbx-emulated"
    assert report.key_expires_at == began + timedelta(days=28)
    assert report.warnings == ()


async def test_the_bare_code_does_too(open_mall: Callable[..., Any]) -> None:
    mall = open_mall(settings=NOT_YET)
    landing = mall.emulator.application.consent((await mall.channel.sign_in_page()).address)
    await mall.run(mall.channel.sign_in(parse_qs(urlsplit(landing).query)["code"][0]))
    assert (await mall.run(mall.channel.check())).account


@pytest.mark.parametrize(
    ("brought", "why"),
    [
        ("", "no code"),
        ("https://localhost/", "no code"),
        ("https://localhost/?error=access_denied&state=x", "access_denied"),
        ("https://localhost/?code=abc&state=1.00", "another sign-in page"),
        ("code=abc state=x", "no code"),
    ],
)
async def test_what_is_no_landing_address_is_refused_before_any_call(mall: Any, brought: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        await mall.run(mall.channel.sign_in(brought))
    assert mall.sent == []


async def test_the_page_of_another_store_and_an_old_page_are_refused(open_mall: Callable[..., Any]) -> None:
    mall, other = open_mall(), open_mall(seller_id="snbx-other")
    landing = other.emulator.application.consent((await other.channel.sign_in_page()).address)
    with pytest.raises(ValueError, match="another sign-in page"):
        await mall.run(mall.channel.sign_in(landing))
    landing = mall.emulator.application.consent((await mall.channel.sign_in_page()).address)
    await mall.clock.advance(601)
    with pytest.raises(ValueError, match="older than 10 minutes"):
        await mall.run(mall.channel.sign_in(landing))


async def test_an_hour_later_the_token_is_renewed_before_it_ends(mall: Any) -> None:
    await mall.poll()
    await mall.clock.advance(3301)
    before = len(mall.calls("token"))
    await mall.poll()
    assert len(mall.calls("token")) == before + 1
    assert mall.emulator.calls["order_list"] >= 2


@pytest.mark.parametrize("answer", ["keeps", "rotates"])
async def test_a_renewal_never_moves_the_28_days_and_a_rotated_token_is_saved_before_use(
    open_mall: Callable[..., Any], answer: str
) -> None:
    mall = open_mall(settings=NOT_YET, refresh_answer=answer)
    await signed_in(mall)
    ends = (await mall.run(mall.channel.check())).key_expires_at
    for _ in range(27):
        await mall.clock.advance(86_400)
        mall.channel = mall.open()  # a restart: all that lives on is the grant
        assert (await mall.run(mall.channel.check())).key_expires_at == ends
    await mall.clock.advance(86_400)
    with pytest.raises(SignInRequired, match="invalid_grant"):
        await mall.run(mall.channel.check())


async def test_signing_in_again_before_the_end_starts_the_28_days_anew(open_mall: Callable[..., Any]) -> None:
    mall = open_mall(settings=NOT_YET)
    await signed_in(mall)
    await mall.clock.advance(27 * 86_400)
    await signed_in(mall)
    report = await mall.run(mall.channel.check())
    assert report.key_expires_at > mall.clock.now() + timedelta(days=27)


async def test_a_token_that_dies_in_the_middle_is_renewed_once_and_the_call_repeated(mall: Any) -> None:
    await mall.poll()
    mall.emulator.application.expire_access()
    report = await mall.write((mall.keys[0], Form.RELATIVE_SILENT, -5))
    assert report.rows == (Accepted(0, 495),)
    assert mall.shown() == 495
    assert len(mall.calls("setStock")) == 2


async def test_a_right_withdrawn_between_two_orders_stops_with_the_cursor_where_it_was(mall: Any) -> None:
    await mall.poll()
    orders = [mall.buy() for _ in range(READS + 3)]
    await mall.page()
    mall.emulator.application.revoke()
    cursor = mall.cursor
    with pytest.raises(SignInRequired):
        await mall.page()
    assert mall.cursor == cursor
    await signed_in(mall)
    await mall.poll()
    assert {order.number for order in orders} <= mall.states.keys()


async def test_px_04102_is_renewed_once_and_then_a_person_is_asked(mall: Any) -> None:
    body = "<Error><Message>session is too old</Message><Code>px-04102</Code></Error>"
    await mall.poll()
    renewed = mall.emulator.application.refreshed
    mall.transport.tampering = lambda request: (
        httpx.Response(401, text=body) if request.url.path.endswith("/orderList") else None
    )
    with pytest.raises(SignInRequired, match="px-04102"):
        await mall.poll()
    assert mall.emulator.application.refreshed == renewed + 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(400, json={"error": "invalid_grant"}), SignInRequired),
        (httpx.Response(401, json={"error": "invalid_client"}), SignInRequired),
        (httpx.Response(400, json={"error": "temporarily_unavailable"}), Unavailable),
        (httpx.Response(503, text="<html></html>"), Unavailable),
        (httpx.Response(200, json={"token_type": "Bearer"}), BrokenAnswer),
        (httpx.Response(200, json=["x"]), BrokenAnswer),
        (httpx.Response(200, text="<html></html>", headers={"Content-Type": "text/html"}), BrokenAnswer),
    ],
)
async def test_every_answer_of_the_token_endpoint_says_what_to_do(
    mall: Any, answer: httpx.Response, error: type[Exception]
) -> None:
    mall.answer_once("token", answer)
    with pytest.raises(error):
        await mall.run(mall.channel.check())


# --- several stores -----------------------------------------------------------------------------------------


def two_stores(open_mall: Callable[..., Any]) -> tuple[Any, Any]:
    clock, grants = ManualClock(), MemoryGrants()
    application, limiter = Application(clock), BudgetLimiter(clock)
    one = open_mall(clock=clock, grants=grants, application=application, limiter=limiter, seller_id="snbx-one")
    two = open_mall(clock=clock, grants=grants, application=application, limiter=limiter, seller_id="snbx-two")
    return one, two


async def test_two_stores_of_one_application_share_one_sign_in_and_renew_it_once(
    open_mall: Callable[..., Any],
) -> None:
    one, two = two_stores(open_mall)
    for _ in range(3):
        tasks = [spawn(mall.channel.check()) for mall in (one, two)]
        await one.clock.advance(10)
        assert [task.result().account for task in tasks] == ["snbx-one", "snbx-two"]
        await one.clock.advance(3600)
    assert one.emulator.application.refreshed == 3


async def test_a_person_with_another_id_has_a_sign_in_of_its_own(open_mall: Callable[..., Any]) -> None:
    grants = MemoryGrants()
    named = open_mall(grants=grants, settings={"signed_in_as": "second"})
    plain = open_mall(grants=grants)
    await named.run(named.channel.check())
    await plain.run(plain.channel.check())
    assert set(grants._grants) == {"emulated-application/second", "emulated-application"}


async def test_two_stores_share_the_rates_of_their_application_and_none_starves(
    open_mall: Callable[..., Any],
) -> None:
    one, two = two_stores(open_mall)
    done = {"one": 0, "two": 0}

    async def write(name: str, mall: Any) -> None:
        [route] = mall.channel.capabilities.routes
        for n in range(20):
            await mall.channel.write_stock([StockWrite(mall.keys[0], Form.ABSOLUTE, n)], route, "key")
            done[name] += 1

    tasks = [spawn(write("one", one)), spawn(write("two", two))]
    await one.clock.advance(22)
    assert abs(done["one"] - done["two"]) <= 1
    await one.clock.advance(30)
    assert [task.done() for task in tasks] == [True, True]
    assert one.emulator.violations == 0
    assert {budget.shared_as for budget in two.channel.capabilities.budgets} == {"emulated-application"}


async def test_a_day_of_full_speed_stays_within_the_days_calls(mall: Any) -> None:
    """A full bucket and a day's refill together."""
    [day] = [budget for budget in mall.channel.capabilities.budgets if budget.name == "day"]
    assert day.burst + 86_400 * day.per_second <= 50_000


# --- what is known beforehand -------------------------------------------------------------------------------


async def test_an_unknown_end_of_the_sign_in_or_the_key_is_a_warning(mall: Any) -> None:
    report = await mall.run(mall.channel.check())
    assert report.key_expires_at is None
    assert [any(word in text for text in report.warnings) for word in ("sign-in", "public_key_expires")] == [True] * 2


async def test_the_public_keys_end_counts_when_it_comes_first(open_mall: Callable[..., Any]) -> None:
    mall = open_mall(settings={**NOT_YET, "public_key_expires": date(2026, 12, 1)})
    await signed_in(mall)
    report = await mall.run(mall.channel.check())
    assert report.key_expires_at.astimezone(UTC) == datetime(2026, 12, 1, 14, 59, 59, tzinfo=UTC)


async def test_orders_need_a_public_key_and_stock_does_not(open_mall: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="public_key"):
        open_mall(settings={"public_key": None})
    mall = open_mall(settings={"public_key": None}, shop={"orders": "off"})
    assert (await mall.run(mall.channel.check())).account
    assert not mall.calls("orderCount")


async def test_the_page_can_be_opened_by_a_browser_and_leads_to_the_landing_address(
    open_mall: Callable[..., Any],
) -> None:
    mall = open_mall(settings=NOT_YET)
    page = await mall.channel.sign_in_page()
    transport = httpx.ASGITransport(app=mall.emulator.app)
    async with httpx.AsyncClient(transport=transport) as browser:
        answer = await browser.get(page.address)
    assert answer.status_code == 302
    await mall.run(mall.channel.sign_in(answer.headers["location"]))
    assert (await mall.run(mall.channel.check())).account
