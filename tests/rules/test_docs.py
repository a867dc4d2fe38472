"""What a user can set, see or type stands in the documentation, and the documentation names nothing else."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from pydantic import BaseModel

from syncd.config import Settings
from syncd.sdk.settings import ShopSettings
from syncd.telemetry import Metrics, metrics

ROOT = Path(__file__).parents[2]


def text_of(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def settings_of(model: type[BaseModel], table: str = "") -> Iterator[tuple[str, str]]:
    """Every setting as (table, key)."""
    for key, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from settings_of(field.annotation, key)
        else:
            yield table, key


def section(text: str, heading: str) -> str:
    """A section of a Markdown or TOML file, from its heading to the next one."""
    _, _, rest = text.partition(heading + "\n") if heading else ("", "", text)
    return re.split(r"(?m)^(?:#{2,3} |\[)", rest)[0]


@pytest.mark.parametrize(("table", "key"), list(settings_of(Settings)))
def test_every_setting_of_the_daemon_stands_in_the_sample_and_on_the_settings_page(table: str, key: str) -> None:
    assert re.search(rf"(?m)^#{key} = ", section(text_of("etc/syncd.toml"), f"[{table}]" if table else ""))
    page = section(text_of("docs/settings.md"), f"### `[{table}]`" if table else "## `syncd.toml`")
    assert f"| `{key}` |" in page


@pytest.mark.parametrize("key", [key for key in ShopSettings.model_fields if key != "name"])
def test_every_setting_of_a_shop_stands_on_the_settings_page(key: str) -> None:
    assert f"| `{key}` |" in section(text_of("docs/settings.md"), "## `shops.d/<shop>.toml`")


@pytest.mark.parametrize("model", [Settings, ShopSettings])
def test_every_setting_has_a_description(model: type[BaseModel]) -> None:
    for field in model.model_fields.values():
        inner = field.annotation
        is_table = isinstance(inner, type) and issubclass(inner, BaseModel)
        assert all(f.description for f in inner.model_fields.values()) if is_table else field.description


def documented_metrics() -> dict[str, tuple[str, set[str]]]:
    rows = re.findall(r"(?m)^\| `(syncd_\w+)` \| (\w+) \| ([\w, ]*)\|", text_of("docs/metrics.md"))
    return {name: (kind, {x for x in labels.strip().split(", ") if x}) for name, kind, labels in rows}


def test_every_metric_stands_in_the_docs_with_its_type_and_labels_and_no_other_does() -> None:
    found = {}
    for collector in Metrics().collectors():
        [family] = collector.describe()
        name = family.name + ("_total" if family.type == "counter" else "")
        found[name] = (family.type, set(collector._labelnames))
    assert documented_metrics() == found


def test_the_alerts_name_only_metrics_that_exist() -> None:
    named = {re.sub(r"_(bucket|count|sum)$", "", n) for n in re.findall(r"\bsyncd_\w+", text_of("docs/metrics.md"))}
    assert named == set(documented_metrics())


@pytest.mark.parametrize(
    "values",
    [
        "SHOP_STATES",
        "LANES",
        "HTTP_OUTCOMES",
        "CALL_OUTCOMES",
        "PUSH_OUTCOMES",
        "ORDER_OUTCOMES",
        "DRIFT_DIRECTIONS",
        "HOOK_OUTCOMES",
    ],
)
def test_every_label_value_stands_in_the_docs(values: str) -> None:
    page = text_of("docs/metrics.md")
    assert [value for value in getattr(metrics, values) if f"`{value}`" not in page] == []


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[str]:
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from leaves(inner, (*path, name))
    elif not command.hidden:
        yield " ".join(path)


def test_every_command_stands_in_the_readme() -> None:
    commands = section(text_of("README.md"), "## Commands")
    if not commands:
        pytest.skip("README has no section Commands yet")
    if importlib.util.find_spec("syncd.cli") is None:
        pytest.skip("there is no syncd.cli yet")
    cli = importlib.import_module("syncd.cli").main
    assert [command for command in leaves(cli) if f"syncd {command}" not in commands] == []
