"""The alert rules in etc/ name only metrics, labels and label values that exist, and the docs list them all."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.metrics import MetricWrapperBase

from syncd.daemon.housekeeping import ALARM_KINDS
from syncd.telemetry import Metrics

ROOT = Path(__file__).parents[2]
OF_OTHERS = {"up", "process_start_time_seconds"}
RULE = re.compile(
    r"      - alert: (?P<name>\w+)\n"
    r"        expr: '(?P<expr>[^\n]+)'\n"
    r"        for: (?P<wait>\d+[smh])\n"
    r"        labels: \{ class: (?P<kind>page|ticket) \}\n"
    r'        annotations: \{ summary: "(?P<summary>[^"\n]+)" \}\n'
)
SELECTOR = re.compile(r"\b(syncd_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(=~|=)"([^"]*)"')


@dataclass(frozen=True)
class Alert:
    name: str
    expr: str
    kind: str
    summary: str


def alerts() -> list[Alert]:
    text = (ROOT / "etc/alerts.yml").read_text(encoding="utf-8")
    head, _, body = text.partition("    rules:\n")
    assert head.rstrip().endswith("- name: syncd")
    found = list(RULE.finditer(body))
    assert "".join(one[0] for one in found) == body, "a rule is not written like the others"
    return [Alert(one["name"], one["expr"], one["kind"], one["summary"]) for one in found]


def series() -> dict[str, MetricWrapperBase]:
    """Every name a rule may select, with the metric that gives it."""
    found: dict[str, MetricWrapperBase] = {}
    for metric in METRICS.collectors():
        [family] = metric.describe()
        parts = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}.get(family.type, ("",))
        found |= {family.name + part: metric for part in parts}
    return found


METRICS = Metrics()
METRICS.shop("kyoto", operations=("orders",), budgets=("orders",))
METRICS.alarm_kinds(ALARM_KINDS)
SERIES = series()


def values_of(name: str, label: str) -> set[str]:
    return {one.labels[label] for family in SERIES[name].collect() for one in family.samples if label in one.labels}


@pytest.mark.parametrize("alert", alerts(), ids=lambda one: one.name)
def test_an_alert_selects_what_exists(alert: Alert) -> None:
    assert alert.expr.count("(") == alert.expr.count(")")
    for name, matchers in SELECTOR.findall(alert.expr):
        assert name in SERIES
        for label, how, value in MATCHER.findall(matchers):
            wanted = set(value.split("|")) if how == "=~" else {value}
            assert wanted <= values_of(name, label), f"{name} has no {label} {wanted}"
    others = set(re.findall(r"\b([a-z_]+)\{job=", alert.expr))
    assert others <= OF_OTHERS


@pytest.mark.parametrize("alert", alerts(), ids=lambda one: one.name)
def test_a_summary_uses_only_labels_that_its_metrics_have(alert: Alert) -> None:
    for label in re.findall(r"\$labels\.(\w+)", alert.summary):
        first = SELECTOR.findall(alert.expr)[0][0]
        assert label in SERIES[first]._labelnames


def test_names_are_not_given_twice_and_the_page_lists_exactly_these() -> None:
    names = [one.name for one in alerts()]
    assert len(set(names)) == len(names)
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8").partition("## Alerts to start from")[2]
    listed = re.findall(r"(?m)^\| `(Syncd\w+)` \| [^|]+ \| (page|ticket) \|$", page)
    assert listed == [(one.name, one.kind) for one in alerts()]


def test_every_metric_has_an_alert_or_is_named_as_one_that_needs_none() -> None:
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8").partition("Without an alert of their own")[2]
    exempt = set(re.findall(r"`(syncd_\w+)`", page))
    selected = {name for alert in alerts() for name, _ in SELECTOR.findall(alert.expr)}
    families: dict[int, set[str]] = {}
    for name, metric in SERIES.items():
        families.setdefault(id(metric), set()).add(name)
    alerted = [names for names in families.values() if names & selected]
    silent = [names for names in families.values() if not names & selected]
    assert not exempt & set().union(*alerted), "it has an alert, and is named as one without"
    bare = {name for names in silent for name in names if not name.endswith(("_bucket", "_count", "_sum"))}
    bare |= {name.removesuffix("_count") for names in silent for name in names if name.endswith("_count")}
    assert bare == exempt
