"""`syncd new-channel`: what it writes passes every check at once, and what it cannot write it does not begin."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from syncd.cli import main
from syncd.testing.contract_package import RULES
from syncd.testing.new_channel import LONGEST, CannotWrite, write_new_channel, write_whole

ROOT = Path(__file__).parents[2]
LONG = "a" + "-bcdefghij" * 2 + "-klmnopqr"


def run(*args: str, at: Path) -> subprocess.CompletedProcess[str]:
    """A tool in the generated folder, as its author would start it."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return subprocess.run(
        [sys.executable, "-m", *args], cwd=at, env={**clean, "PYTHONDONTWRITEBYTECODE": "1"}, text=True,
        capture_output=True, check=False, timeout=300,
    )  # fmt: skip


def passed(*args: str, at: Path) -> str:
    done = run(*args, at=at)
    assert done.returncode == 0, f"{args[0]}: {done.stdout[-3000:]}{done.stderr[-1000:]}"
    return done.stdout


def test_the_suite_of_a_new_channel_runs_at_once_and_says_what_is_to_do(tmp_path: Path) -> None:
    made = write_new_channel("au-pay", tmp_path, title="au PAY")
    told = passed("pytest", at=made.folder)
    assert "todo: stock_out: write write_stock" in told
    assert "todo: orders_in: write fetch_orders" in told
    assert "failed" not in told
    assert int(told.rpartition("\n")[0].rpartition("\n")[2].split()[0]) > 25, f"too few really pass: {told[-200:]}"


def test_a_new_channel_passes_strict_type_checks(tmp_path: Path) -> None:
    made = write_new_channel("au-pay", tmp_path)
    assert "no issues found" in passed("mypy", at=made.folder)


@pytest.mark.parametrize("slug", ["b", "au-pay", LONG])
def test_a_new_channel_is_in_house_style_whatever_its_name(tmp_path: Path, slug: str) -> None:
    assert len(LONG) == LONGEST
    made = write_new_channel(slug, tmp_path)
    passed("ruff", "check", "--no-cache", at=made.folder)
    passed("ruff", "format", "--check", "--no-cache", at=made.folder)


def test_nothing_of_the_skeletons_own_name_is_left(tmp_path: Path) -> None:
    made = write_new_channel("au-pay", tmp_path, title="au PAY")
    assert "syncd_au_pay/tests/test_au_pay_contract.py" in made.files
    for name in made.files:
        text = (made.folder / name).read_text(encoding="utf-8")
        assert not [word for word in ("new_mall", "new-mall", "NewMall", "New Mall", ".tmpl") if word in name + text]


def test_a_strangers_folder_is_a_distribution_with_the_entry_point(tmp_path: Path) -> None:
    made = write_new_channel("au-pay", tmp_path)
    project = tomllib.loads((made.folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["syncd.plugins"] == {"au-pay": "syncd_au_pay"}
    assert (made.folder / project["readme"]).is_file()


def test_a_new_channel_is_found_by_its_entry_point_once_installed(tmp_path: Path) -> None:
    """An installed distribution is a folder on the path with its metadata beside it."""
    made = write_new_channel("au-pay", tmp_path)
    metadata = made.folder / "syncd_au_pay-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: syncd-au-pay\nVersion: 0.1.0\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text("[syncd.plugins]\nau-pay = syncd_au_pay\n", encoding="utf-8")
    found = (
        "from syncd.daemon.plugins import discover; found = discover(lambda name: name == 'au-pay');"
        "print(found.channels['au-pay'].title)"
    )
    done = subprocess.run(
        [sys.executable, "-c", found], cwd=made.folder, text=True, capture_output=True, check=False, timeout=120
    )
    assert done.stdout.strip() == "Au Pay", done.stderr


def test_in_the_plugins_folder_of_a_checkout_only_the_package_is_written(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "syncd"\n', encoding="utf-8")
    (tmp_path / "plugins").mkdir()
    made = write_new_channel("au-pay", tmp_path / "plugins")
    assert made.folder == tmp_path / "plugins/syncd_au_pay"
    assert {"channel.py", "quality.toml", "testcases/check/request.json"} <= set(made.files)
    assert not (made.folder / "pyproject.toml").exists()
    assert any('au-pay = "syncd_au_pay"' in step for step in made.next_steps)


def test_the_quality_file_of_a_new_channel_speaks_of_every_rule(tmp_path: Path) -> None:
    made = write_new_channel("au-pay", tmp_path)
    rules = tomllib.loads((made.folder / "syncd_au_pay/quality.toml").read_text(encoding="utf-8"))["rules"]
    assert tuple(rules) == RULES


@pytest.mark.parametrize(
    "slug", ["", "Au", "au_pay", "-au", "au-", "au--pay", "1au", "../au", "au pay", "楽天", LONG + "x"]
)
def test_a_name_that_no_channel_can_have_is_refused(tmp_path: Path, slug: str) -> None:
    with pytest.raises(CannotWrite, match="no name of a channel"):
        write_new_channel(slug, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("slug", ["orders", "writes", "name", "class"])
def test_a_word_of_every_shop_file_is_refused(tmp_path: Path, slug: str) -> None:
    with pytest.raises(CannotWrite, match="a word of every shop file"):
        write_new_channel(slug, tmp_path)


def test_a_name_whose_classes_pytest_would_collect_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite, match="pytest"):
        write_new_channel("test-mall", tmp_path)


@pytest.mark.parametrize("title", ['a"b', "a\nb", "a`b", "x" * 31, "a|b"])
def test_a_title_that_would_break_a_file_is_refused(tmp_path: Path, title: str) -> None:
    with pytest.raises(CannotWrite, match="no title"):
        write_new_channel("au-pay", tmp_path, title=title)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_already_stays_as_it_is(tmp_path: Path) -> None:
    kept = tmp_path / "syncd-au-pay"
    kept.mkdir()
    with pytest.raises(CannotWrite, match="is there already"):
        write_new_channel("au-pay", tmp_path)
    assert list(tmp_path.iterdir()) == [kept]
    assert list(kept.iterdir()) == []


def test_a_folder_that_is_not_there_or_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    for into in (tmp_path / "nowhere", tmp_path / "file"):
        with pytest.raises(CannotWrite, match="is no folder"):
            write_new_channel("au-pay", into)


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="a"):
        write_whole(tmp_path / "made", {"a": "first", "a/b": "a folder cannot have the name of a file"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no folder here that refuses even root")
def test_a_folder_that_cannot_be_written_is_told() -> None:
    with pytest.raises(CannotWrite, match="cannot be written: "):
        write_new_channel("au-pay", Path("/proc"))


# -- the command -------------------------------------------------------------------------------------------------------


def test_the_command_writes_and_tells_what_comes_next(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["new-channel", "au-pay", "--into", str(tmp_path), "--json"])
    told = json.loads(done.stdout)
    assert done.exit_code == 0
    assert Path(told["folder"]) == tmp_path / "syncd-au-pay"
    assert all((tmp_path / "syncd-au-pay" / name).is_file() for name in told["files"])
    assert any("docs/plugins.md" in step for step in told["next_steps"])


@pytest.mark.parametrize(("slug", "told"), [("Au", "no name of a channel"), ("rakuten", "a channel rakuten already")])
def test_the_command_refuses_in_one_sentence(tmp_path: Path, slug: str, told: str) -> None:
    done = CliRunner().invoke(main, ["new-channel", slug, "--into", str(tmp_path)])
    assert done.exit_code == 1
    assert told in done.stderr
    assert list(tmp_path.iterdir()) == []
