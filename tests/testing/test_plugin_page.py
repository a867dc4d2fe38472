"""docs/plugins.md names what exists: files, capabilities, calls, and the words in which the contract complains."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from syncd.sdk.channel import Budget, Capabilities, Channel, WriteRoute
from syncd.testing.contract_package import HEADINGS
from syncd.testing.new_channel import Names, rendered

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/plugins.md").read_text(encoding="utf-8")
KIT = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "src/syncd/testing").glob("*.py")))


def test_every_file_it_points_at_exists() -> None:
    named = {*re.findall(r"`(plugins/[\w/]+\.py)`", PAGE), *re.findall(r"\]\(\.\./(src/[\w/]+\.py)\)", PAGE)}
    assert len(named) > 12
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


def test_every_test_file_it_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+\.py)`", PAGE))
    assert [name for name in sorted(named) if not list((ROOT / "plugins").glob(f"*/tests/{name}"))] == []


@pytest.mark.parametrize("kind", [Capabilities, WriteRoute, Budget])
def test_it_says_how_to_choose_every_field(kind: type) -> None:
    names = [field.name for field in fields(kind) if field.name not in ("name", "budgets", "routes")]
    assert [name for name in names if not re.search(rf"`{name}\b", PAGE)] == []


def test_it_names_every_call_of_a_channel() -> None:
    calls = [name for name in vars(Channel) if not name.startswith("_") and name not in ("capabilities", "aclose")]
    assert len(calls) >= 12
    assert [name for name in calls if not re.search(rf"`{name}\b", PAGE)] == []


def test_every_complaint_that_it_explains_can_be_read_in_the_kit() -> None:
    table = PAGE.partition("## When the suite is red")[2]
    told = [part for row in re.findall(r"(?m)^\| (`.*?`) \|", table) for part in re.findall(r"`([^`]+)`", row)]
    assert len(told) > 8
    spoken = re.sub(r"\{[^{}]*\}", "…", KIT)
    missing = [one for one in told if not all(part.strip() in spoken for part in re.split(r"…|1000", one))]
    assert missing == []


def test_every_file_of_a_new_folder_is_explained() -> None:
    made = {path.removeprefix("syncd_x/").split("/")[0] for path, _ in rendered(Names("x", "X"))}
    assert [name for name in sorted(made - {"pyproject.toml", "py.typed"}) if f"`{name}" not in PAGE] == []


def test_it_names_the_headings_of_a_readme() -> None:
    assert [heading for heading in HEADINGS if f"*{heading}" not in PAGE] == []


@pytest.mark.parametrize("file", sorted((ROOT / "plugins").glob("*/quality.toml")), ids=lambda file: file.parent.name)
def test_a_plugin_that_is_shipped_has_nothing_left_to_do(file: Path) -> None:
    rules = tomllib.loads(file.read_text(encoding="utf-8"))["rules"]
    assert [name for name, verdict in rules.items() if verdict.startswith("todo:")] == []
