"""The demo's own parts: settings files, verdict, pictures; and, marked real, the whole of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from io import StringIO
from pathlib import Path

import pytest
from pydantic import SecretStr

from syncd.config import load
from syncd.sim.demo import Result
from syncd.sim.screen import Frame, Quiet, Scene, picture
from syncd.sim.served import ShopView, Truth, View
from syncd.sim.settings_files import toml_lines, write_settings
from syncd.sim.stalls import KEPT, SHORTENED, STALLS
from syncd.sim.verdict import Verdict, compare

SCENE = Scene(5.0, 2.0, "http://127.0.0.1:1/metrics", Path("syncd.toml"), KEPT, SHORTENED)
ORDER = ("shop", "1")


def truth(free: int = 5, stale: tuple[str, ...] = ()) -> Truth:
    return Truth({ORDER: {"1": (3, 1, 0)}}, {"sku": free}, stale)


def test_toml_comes_back_as_it_was_given() -> None:
    table = {
        "text": 'a "quoted" 商品',
        "flag": True,
        "list": ["x", 1],
        "inner": {"コントロールカラム": "u", "deeper": {"number": 1.5}},
        "last": {},
    }
    assert tomllib.loads("\n".join(toml_lines(table))) == table


def test_settings_files_load_and_secrets_lie_in_files_of_their_own(tmp_path: Path) -> None:
    tables = {name: {"service_secret": SecretStr("hidden"), "stock": {"folder": "stock"}} for name in STALLS}
    config = write_settings(tmp_path, tables, dict.fromkeys(STALLS, "http://127.0.0.1:1"), 18484)
    loaded = load(config)
    assert [shop.name for shop in loaded.shops] == sorted(STALLS)
    assert loaded.problems == ()
    assert loaded.settings.batch.every_seconds == 5.0
    assert not any("hidden" in file.read_text() for file in (tmp_path / "shops.d").iterdir())
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "secrets").iterdir()} == {0o600}


def test_books_that_agree_are_clean() -> None:
    verdict = compare(truth(), {ORDER: 2}, {"sku": 5}, [])
    assert (verdict.lost, verdict.doubled, verdict.orders_booked, verdict.clean) == (0, 0, 1, True)


def test_a_missing_order_is_lost_and_so_is_a_piece_that_the_ledger_still_has() -> None:
    assert compare(truth(), {}, {"sku": 5}, []).lost == 1
    assert compare(truth(), {ORDER: 2}, {"sku": 7}, []).lost == 2


def test_an_order_booked_for_too_much_is_doubled_and_so_is_a_piece_the_ledger_took_twice() -> None:
    assert compare(truth(), {ORDER: 4}, {"sku": 5}, []).doubled == 1
    assert compare(truth(), {ORDER: 2, ("shop", "never sold"): 1}, {"sku": 5}, []).doubled == 1
    assert compare(truth(), {ORDER: 2}, {"sku": 2}, []).doubled == 3


def test_a_stale_raise_or_a_wrong_number_is_not_clean_and_only_the_number_is_worth_waiting_for() -> None:
    stale = compare(truth(stale=("a raise",)), {ORDER: 2}, {"sku": 5}, [])
    wrong = compare(truth(), {ORDER: 2}, {"sku": 5}, ["shop sku shows 1"])
    assert (stale.clean, stale.settled) == (False, True)
    assert (wrong.clean, wrong.settled) == (False, False)


def test_the_line_has_what_scripts_ask_for() -> None:
    view = View(shops=(ShopView("a", "amazon", orders=2, stockouts=(1.0, 2.0)), ShopView("b", "files")), oversold=3)
    result = Result(view=view, verdict=Verdict(orders_booked=2, lost=0, doubled=0), seconds=1.0, still_seconds=0.5)
    line = json.loads(json.dumps(result.as_line()))
    assert line["shops"] == ["a", "b"]
    assert (line["orders_placed"], line["orders_booked"], line["oversold"], line["drift_end"]) == (2, 2, 3, 0)
    assert (line["stockout_p50_s"], line["stockout_p99_s"]) == (1.0, 2.0)
    assert line["stockout_by_shop"]["b"] == {"p50_s": None, "p99_s": None}
    assert line["shortened"] == list(SHORTENED)


def test_the_picture_shows_every_shop_and_loads_nothing(tmp_path: Path) -> None:
    shops = (ShopView("rakuten-main", "rakuten", orders=9, taken_in=8), ShopView("sftp-mall", "files"))
    view = View(shops=shops, flash=True)
    path = tmp_path / "demo.svg"
    picture(SCENE, Frame(view, {"shops": [{"name": "sftp-mall", "status": "running"}]}, "buyers are shopping"), path)
    drawn = path.read_text(encoding="utf-8")
    assert "rakuten-main" in drawn
    assert "8/9" in drawn
    assert all(stall.kept in re.sub("&#160;|\\s+", " ", drawn) for stall in STALLS.values())
    assert "@font-face" not in drawn


def test_without_a_terminal_few_lines_are_told() -> None:
    out = StringIO()
    with Quiet(SCENE, out) as quiet:
        for second in range(30):
            quiet.show(Frame(View(), phase="buyers are shopping", seconds=float(second)))
    told = out.getvalue().splitlines()
    assert "batch every 5 s" in told[0]
    assert all(text in told[1] for text in KEPT)
    assert all(text in told[2] for text in SHORTENED)
    assert SCENE.metrics in told[3]
    assert len(told) == 7


def test_the_five_shops_are_of_five_kinds_and_bring_all_buyers() -> None:
    assert len({stall.channel for stall in STALLS.values()}) == len(STALLS) == 5
    assert sum(stall.buyers for stall in STALLS.values()) == pytest.approx(1.0)


@pytest.mark.real
def test_the_whole_demo_ends_clean_with_one_line() -> None:
    run = "import sys; from syncd.sim.demo import run_demo; sys.exit(run_demo(8.0, terminal=False))"
    done = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, timeout=240, check=False)
    line = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert line["orders_placed"] == line["orders_booked"] > 0
    assert line["kinds"] == ["rakuten", "yahoo-shopping", "amazon", "shopify", "files"]
    assert (line["lost"], line["doubled"], line["stale_raises"], line["drift_end"]) == (0, 0, 0, 0)
