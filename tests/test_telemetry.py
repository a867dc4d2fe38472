"""Log lines carry no secret, metrics carry no SKU."""

import io
import json
import logging
from datetime import timedelta
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from syncd.sdk import errors
from syncd.telemetry import SHOP_STATES, Metrics, call_outcome, register_secret, set_up
from syncd.telemetry.metrics import CALL_OUTCOMES
from syncd.testing.fakes import ManualClock

UNITS = ("seconds", "bytes", "ratio", "days", "total", "rows", "skus", "pieces", "lines", "listings", "info")
COUNTED = (
    "doubts",
    "alarms",
    "intents_open",
    "shipments_open",
    "returns_waiting",
)  # the noun that is counted is the unit
STATES = ("shop_state", "unfenced", "shop_writing")  # 0 or 1
LABELS = {"shop", "op", "outcome", "lane", "call", "state", "direction", "kind", "budget", "version", "le"}


@pytest.fixture
def lines(request: pytest.FixtureRequest) -> Any:
    """What was logged, as text and as parsed lines; logging is as before afterwards."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = list(root.handlers), root.level
    set_up("debug", "json", stream=stream, clock=ManualClock())
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def only(stream: io.StringIO) -> dict[str, Any]:
    [line] = stream.getvalue().splitlines()
    parsed: dict[str, Any] = json.loads(line)
    return parsed


def test_a_line_carries_event_time_level_and_the_bound_shop(lines: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(shop="rakuten-main"):
        structlog.get_logger("syncd.test").info("stock_written", listing="品番-1", rows=3)
    assert only(lines) == {
        "event": "stock_written",
        "time": "2026-11-21T00:00:00.000Z",
        "level": "info",
        "logger": "syncd.test",
        "shop": "rakuten-main",
        "listing": "品番-1",
        "rows": 3,
    }


def test_values_are_cut_but_a_traceback_keeps_its_end(lines: io.StringIO) -> None:
    def deep(left: int) -> None:
        if left:
            return deep(left - 1)
        raise ValueError("x" * 9000 + " the end")

    try:
        deep(3)
    except ValueError:
        structlog.get_logger().exception("plugin_failed", answer="a" * 1000)
    line = only(lines)
    assert len(line["answer"]) == 256
    assert line["exception"].endswith("the end")


CANARY = 'canary"SL/42+key=='


@pytest.mark.parametrize(
    "fields",
    [
        {"text": f"before {CANARY} after"},
        {"answer": {"deep": [f"{CANARY}"]}},
        {"error": ValueError(CANARY)},
        {"raw": CANARY.encode()},
        {"url": "https://x/?q=canary%22SL%2F42%2Bkey%3D%3D"},
        {"basic": "Y2FuYXJ5IlNMLzQyK2tleT09"},
        {"x": "a" * 250 + CANARY},
        {CANARY: 1},
    ],
)
def test_a_registered_secret_is_in_no_line_in_any_form(lines: io.StringIO, fields: dict[str, Any]) -> None:
    register_secret(SecretStr(CANARY))
    structlog.get_logger().info("shop_answered", **fields)
    assert "canary" not in lines.getvalue()
    assert "Y2FuYXJ5" not in lines.getvalue()


def test_a_secret_in_a_traceback_and_in_another_library_s_line_is_masked(lines: io.StringIO) -> None:
    register_secret("canary-in-trace")
    try:
        raise RuntimeError("answer was canary-in-trace")
    except RuntimeError:
        logging.getLogger("some.library").exception("failed with %s", "canary-in-trace")
    line = only(lines)
    assert "canary-in-trace" not in json.dumps(line)
    assert line["event"] == "failed with ***"
    assert line["exception"].endswith("RuntimeError: answer was ***")


def test_every_line_of_a_key_in_several_lines_is_masked(lines: io.StringIO) -> None:
    register_secret("-----BEGIN KEY-----\nAbCdEfGhIjKlMnOpQrSt\n-----END KEY-----\n")
    structlog.get_logger().warning("key_refused", text="at AbCdEfGhIjKlMnOpQrSt")
    assert only(lines)["text"] == "at ***"


@pytest.mark.parametrize(
    "key", ["Authorization", "access_token", "license_key", "X-Api-Key", "password", "clientSecret"]
)
def test_a_value_under_a_secret_s_name_is_masked_even_if_nobody_registered_it(lines: io.StringIO, key: str) -> None:
    structlog.get_logger().info("request_sent", **{key: "unregistered"}, headers={key: "unregistered"})
    assert "unregistered" not in lines.getvalue()


def test_numbers_and_ordinary_names_stay(lines: io.StringIO) -> None:
    structlog.get_logger().info("budget_read", tokens=3, keyboard="de", monkey="x")
    assert only(lines).items() >= {"tokens": 3, "keyboard": "de", "monkey": "x"}.items()


def test_chatty_libraries_are_heard_from_warning_on(lines: io.StringIO) -> None:
    for name in ("uvicorn.access", "asyncssh", "httpx"):
        logging.getLogger(name).info("GET https://shop/?token=1")
        logging.getLogger(name).warning("%s warned", name)
    assert [json.loads(line)["event"] for line in lines.getvalue().splitlines()] == [
        "uvicorn.access warned",
        "asyncssh warned",
        "httpx warned",
    ]


def test_setting_up_again_replaces_the_first(lines: io.StringIO) -> None:
    second = io.StringIO()
    set_up("warning", "console", stream=second)
    structlog.get_logger().info("not_heard")
    structlog.get_logger().warning("shop_paused", shop="a")
    assert lines.getvalue() == ""
    assert "shop_paused" in second.getvalue()
    assert "not_heard" not in second.getvalue()


def families(metrics: Metrics) -> dict[str, list[tuple[str, dict[str, str], float]]]:
    return {
        family.name: [(s.name, dict(s.labels), s.value) for s in family.samples]
        for collector in metrics.collectors()
        for family in collector.collect()
    }


def test_every_metric_ends_in_its_unit_and_has_labels_of_closed_sets_only() -> None:
    metrics = Metrics(version="1")
    metrics.shop("a", operations=["orders.search"], budgets=["api"])
    metrics.alarm_kinds(["stalled"])
    found = families(metrics)
    assert len(found) >= 30
    for name, samples in found.items():
        full = name + "_total" if any(s.endswith("_total") for s, _, _ in samples) else name
        assert full.startswith("syncd_")
        assert full.rsplit("_", 1)[-1] in UNITS or full.removeprefix("syncd_") in (*COUNTED, *STATES), full
        assert {label for _, labels, _ in samples for label in labels} <= LABELS, name


def test_every_label_set_of_a_shop_is_there_with_0_from_the_start() -> None:
    metrics = Metrics(clock=ManualClock())
    metrics.shop("a", operations=["stock.set"], budgets=["api"])
    body, content_type = metrics.render()
    text = body.decode()
    assert content_type.startswith("text/plain")
    for line in (
        'syncd_http_requests_total{op="stock.set",outcome="throttled",shop="a"} 0.0',
        'syncd_plugin_calls_total{call="write_stock",outcome="in_doubt",shop="a"} 0.0',
        'syncd_shop_last_success_timestamp_seconds{op="orders",shop="a"} 0.0',
        'syncd_outbox_rows{lane="stockout",shop="a"} 0.0',
        'syncd_stockout_seconds_bucket{le="600.0",shop="a"} 0.0',
        'syncd_shop_state{shop="a",state="sign_in_required"} 0.0',
        'syncd_credential_expiry_days{shop="a"} NaN',
        'syncd_unfenced{shop="a"} 0.0',
        'syncd_budget_ratio{budget="api",shop="a"} 0.0',
    ):
        assert line in text
    assert "_created" not in text
    unlabelled = {name for name, samples in families(metrics).items() if not samples}
    assert unlabelled == {"syncd_alarms"}


def test_a_shop_made_again_keeps_its_values_and_a_forgotten_one_leaves_no_series() -> None:
    metrics = Metrics()
    metrics.shop("a")
    metrics.shop("b")
    metrics.orders_ingested.labels("a").inc(3)
    metrics.shop("a", operations=["x"])
    assert 'syncd_orders_ingested_total{shop="a"} 3.0' in metrics.render()[0].decode()
    metrics.forget_shop("a")
    text = metrics.render()[0].decode()
    assert 'shop="a"' not in text
    assert 'shop="b"' in text


def test_a_label_set_is_found_again_as_it_was_and_a_wrong_one_is_refused() -> None:
    calls = Metrics().plugin_calls
    assert calls.labels("a", "check", "ok") is calls.labels("a", "check", "ok")
    assert calls.labels(shop="a", call="check", outcome="ok") is calls.labels("a", "check", "ok")
    with pytest.raises(ValueError, match="label count"):
        calls.labels("a", "check")
    with pytest.raises(ValueError, match="already has labels"):
        calls.labels("a", "check", "ok").labels("a", "check", "ok")


def test_a_shop_is_in_one_state() -> None:
    metrics = Metrics()
    metrics.shop("a")
    metrics.set_shop_state("a", "running")
    metrics.set_shop_state("a", "paused")
    values = {labels["state"]: value for _, labels, value in families(metrics)["syncd_shop_state"]}
    assert values == {state: float(state == "paused") for state in SHOP_STATES}
    with pytest.raises(ValueError, match="happy"):
        metrics.set_shop_state("a", "happy")


def test_the_days_until_a_key_dies_are_counted_at_every_scrape() -> None:
    clock = ManualClock()
    metrics = Metrics(clock=clock)
    metrics.shop("a")
    metrics.credential_expiry("a", clock.now() + timedelta(days=14))
    assert 'syncd_credential_expiry_days{shop="a"} 14.0' in metrics.render()[0].decode()
    metrics.credential_expiry("a", clock.now() - timedelta(days=1))
    assert 'syncd_credential_expiry_days{shop="a"} -1.0' in metrics.render()[0].decode()
    metrics.credential_expiry("a", None)
    assert 'syncd_credential_expiry_days{shop="a"} NaN' in metrics.render()[0].decode()


def test_two_sets_of_metrics_in_one_process_do_not_meet() -> None:
    one, two = Metrics(), Metrics()
    one.shop("a")
    two.shop("a")
    one.orders_ingested.labels("a").inc()
    assert 'syncd_orders_ingested_total{shop="a"} 0.0' in two.render()[0].decode()


class MallIsSlow(errors.Throttled):
    pass


def test_every_channel_error_has_an_outcome_of_its_own_and_a_subclass_shares_it() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ChannelError)]
    outcomes = {call_outcome(kind()) for kind in kinds if kind is not errors.ChannelError}
    assert outcomes == set(CALL_OUTCOMES) - {"ok", "hung", "fault"}
    assert call_outcome(MallIsSlow()) == "throttled"
    assert call_outcome(KeyError("x")) == "fault"
