"""The contract of a plugin's folder catches what it is for: one wrong line, and the part that speaks of it fails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from syncd.testing.contract_package import PackageContract
from syncd_shopify.channel import ShopifyChannel
from syncd_shopify.emulator import ShopifyEmulator

Edit = Callable[[str], str]


def folder_with(name: str = "", edit: Edit = str) -> PackageContract:
    """Shopify's folder, one of its files edited."""

    class Edited(PackageContract):
        package = "syncd_shopify"
        channel_type = ShopifyChannel
        emulator_type = ShopifyEmulator

        @classmethod
        def text(cls, asked: str) -> str:
            text = super().text(asked)
            if asked != name:
                return text
            edited = edit(text)
            assert edited != text, "the edit changed nothing"
            return edited

    return Edited()


@pytest.mark.parametrize(
    ("rule", "was", "now", "told"),
    [
        ("readme", '"done"', '"almost"', "say done, or exempt"),
        ("readme", '"done"', '"exempt: "', "say done, or exempt"),
        ("stock_out", '"done"', '"todo: write it"', "the capabilities say True"),
        ("shipments", '"done"', '"exempt: none"', "the capabilities say True"),
        ("orders_in", '"done"', None, "does not speak of orders_in"),
    ],
)
def test_a_quality_file_that_does_not_say_what_the_code_does_fails(
    rule: str, was: str, now: str | None, told: str
) -> None:
    line = f"{rule} = {was}\n"
    folder = folder_with("quality.toml", lambda text: text.replace(line, "" if now is None else f"{rule} = {now}\n"))
    with pytest.raises(AssertionError, match=told):
        folder.test_quality(rule)


def test_what_is_still_to_be_written_is_skipped_with_its_sentence() -> None:
    folder = folder_with("quality.toml", lambda text: text.replace('readme = "done"', 'readme = "todo: the limits"'))
    with pytest.raises(pytest.skip.Exception, match=r"^todo: readme: the limits$"):
        folder.test_quality("readme")


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda text: text.replace("## Errors", "## Troubles"), "Errors"),
        (lambda text: text.replace("## Settings", "## X").replace("## Not confirmed", "## Settings"), "Not confirmed"),
        (lambda text: "# Shopify\n\n" + text[text.index("## Getting") :], "what it does"),
    ],
)
def test_a_readme_without_its_headings_fails(edit: Edit, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        folder_with("README.md", edit).test_the_readme_has_the_headings_that_a_person_looks_for()


def test_a_switch_that_the_readme_does_not_name_fails() -> None:
    folder = folder_with("README.md", lambda text: text.replace("`bad_line`", "bad lines"))
    with pytest.raises(AssertionError, match="bad_line"):
        folder.test_every_switch_of_the_emulator_stands_in_the_readme()


@pytest.mark.parametrize("name", ["README.md", "sample.toml"])
def test_a_setting_that_is_not_told_fails(name: str) -> None:
    folder = folder_with(name, lambda text: text.replace("notify_buyers", "notify"))
    with pytest.raises(AssertionError, match="notify_buyers"):
        folder.test_every_setting_has_a_description_and_stands_in_the_sample_and_the_readme()


@pytest.mark.parametrize("wrong", ['shop = "buyers-see.example.com"', "unknown = 1"])
def test_a_sample_that_is_no_shop_file_fails(wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_with("sample.toml", lambda text: text.replace('shop = "example.myshopify.com"', wrong))
    with pytest.raises(ValidationError):
        folder.test_the_sample_is_a_shop_file(tmp_path, monkeypatch)


def test_a_sample_that_writes_at_once_fails() -> None:
    folder = folder_with("sample.toml", lambda text: text.replace('writes = "dry_run"', 'writes = "on"'))
    with pytest.raises(AssertionError, match="dry_run"):
        folder.test_a_new_shop_of_the_sample_writes_nothing_yet()
