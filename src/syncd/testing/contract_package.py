"""Contract: what lies in a plugin's folder. Its hook, sample, README and quality file say what the code does.

    class TestPackage(PackageContract):
        package = "syncd_rakuten"
        channel_type = RakutenChannel
        emulator_type = RakutenEmulator

A rule of `quality.toml` is "done", or "exempt: " and why it never will be, or "todo: " and what is still to be written;
what is to be written is skipped with that sentence.
"""

from __future__ import annotations

import importlib
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pluggy
import pytest

from syncd.sdk.channel import PROJECT, Capabilities, Channel, Hooks
from syncd.sdk.settings import ShopSettings
from syncd.testing.emulator import Emulator
from syncd.testing.fakes import ManualClock, open_channel
from syncd.testing.world import World

RULES = (
    "contract", "wire_cases", "every_quirk_tested", "documents_validated_against_schema",
    "emulator_answers_validated_against_schema", "stock_out", "stock_in", "orders_in", "partial_failures_by_index",
    "lost_answer_in_doubt", "rate_fed_from_answers", "throttle_with_wait", "sign_in_required", "token_refresh",
    "key_expiry_reported", "check_names_the_account", "lists_listings", "webhooks", "shipments", "personal_data",
    "secrets_kept_out", "sample_settings", "readme", "tried_on_a_real_shop",
)  # fmt: skip
"""What every quality file speaks of. A plugin may have more rules."""

PROVEN_BY: Mapping[str, Callable[[Capabilities], bool]] = {
    "stock_out": lambda can: bool(can.routes),
    "stock_in": lambda can: can.reads_stock,
    "orders_in": lambda can: can.reads_orders,
    "lists_listings": lambda can: can.lists_listings,
    "webhooks": lambda can: can.publishes_webhooks,
    "shipments": lambda can: can.takes_shipments,
}
"""Rules that are done exactly where the capability is declared."""

VERDICT = re.compile(r"done|(exempt|todo): \S.*", re.DOTALL)
HEADINGS = ("Getting ", "Settings", "Limits", "Errors", "Not confirmed")
CREDENTIAL = re.compile(r'credential = "([^"]+)"')


class PackageContract:
    """The folder of a plugin. Applies to every plugin."""

    package: ClassVar[str]
    channel_type: ClassVar[type[Channel]]
    emulator_type: ClassVar[type[Emulator]]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "rule" in metafunc.fixturenames:
            metafunc.parametrize("rule", sorted({*RULES, *self.rules()}))

    @classmethod
    def folder(cls) -> Path:
        """Where the plugin lies."""
        return Path(str(importlib.import_module(cls.package).__file__)).parent

    @classmethod
    def text(cls, name: str) -> str:
        """A file of the plugin's folder."""
        return (cls.folder() / name).read_text(encoding="utf-8")

    @classmethod
    def rules(cls) -> dict[str, str]:
        """The verdicts of the quality file."""
        found: dict[str, str] = tomllib.loads(cls.text("quality.toml")).get("rules", {})
        return found

    def capabilities(self) -> Capabilities:
        """Of a shop with the settings of the emulator."""
        clock = ManualClock()
        world = World(clock.now)
        return open_channel(self.channel_type, self.emulator_type(world, world.market("test"), clock)).capabilities

    def test_the_hook_offers_the_channel(self) -> None:
        manager = pluggy.PluginManager(PROJECT)
        manager.add_hookspecs(Hooks)
        manager.register(importlib.import_module(self.package))
        manager.check_pending()
        assert self.channel_type in [channel for answer in manager.hook.syncd_channels() for channel in answer]

    def test_the_sample_is_a_shop_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        sample = self.text("sample.toml")
        for name in CREDENTIAL.findall(sample):
            (tmp_path / name).write_text("hidden\n", encoding="utf-8")
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
        table: dict[str, Any] = tomllib.loads(sample)
        settings = self.channel_type.settings_type(**table.pop(self.channel_type.slug))
        shop = ShopSettings(name="sample", **table)
        assert shop.channel == self.channel_type.slug
        assert isinstance(settings, self.channel_type.settings_type)

    def test_a_new_shop_of_the_sample_writes_nothing_yet(self) -> None:
        assert tomllib.loads(self.text("sample.toml")).get("writes", "dry_run") == "dry_run"

    def test_every_setting_has_a_description_and_stands_in_the_sample_and_the_readme(self) -> None:
        fields = self.channel_type.settings_type.model_fields
        assert [name for name, field in fields.items() if not field.description] == []
        sample, readme = self.text("sample.toml"), self.text("README.md")
        assert [name for name in fields if not re.search(rf"(?m)^(# ?)?(\[.*\.)?{name}\b", sample)] == []
        assert [name for name in fields if f"`{name}`" not in readme] == []

    def test_every_switch_of_the_emulator_stands_in_the_readme(self) -> None:
        _, _, left_open = self.text("README.md").partition("\n## Not confirmed")
        assert [name for name in self.emulator_type.quirks if f"`{name}`" not in left_open] == []

    def test_the_readme_has_the_headings_that_a_person_looks_for(self) -> None:
        readme = self.text("README.md")
        missing = [heading for heading in HEADINGS if f"\n## {heading}" not in readme]
        assert missing == []
        places = [readme.index(f"\n## {heading}") for heading in HEADINGS]
        assert places == sorted(places), f"their order is {', '.join(HEADINGS)}"
        what_it_does = readme[: places[0]].partition("\n")[2].strip()
        assert what_it_does, "nothing is said under the title: what it does"

    def test_quality(self, rule: str) -> None:
        verdict = self.rules().get(rule)
        assert verdict is not None, f"quality.toml does not speak of {rule}"
        assert VERDICT.fullmatch(verdict), f'{rule} = "{verdict}": say done, or exempt: why, or todo: what'
        if rule in PROVEN_BY:
            declared = PROVEN_BY[rule](self.capabilities())
            assert declared == (verdict == "done"), f'{rule} = "{verdict}", the capabilities say {declared}'
        if rule == "wire_cases" and verdict == "done":
            assert any((self.folder() / "testcases").iterdir()), "there is no case in testcases/"
        if verdict.startswith("todo: "):
            pytest.skip(f"todo: {rule}: {verdict.removeprefix('todo: ')}")
