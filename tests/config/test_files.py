"""Settings are read whole, and every mistake is named by file, line and key."""

from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr

from syncd.config import ConfigError, Settings, channel_settings, load
from syncd.model import ReturnReason, Returns
from syncd.sdk.settings import ChannelSettings, Secret, Writes
from syncd.telemetry import redact


class Inner(BaseModel):
    token: Secret


class MallSettings(ChannelSettings):
    shop_url: str
    licence: Secret
    rows: int = 400
    inner: Inner | None = None


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    (tmp_path / "shops.d").mkdir()
    (tmp_path / "syncd.toml").write_text("")
    return tmp_path


def write_shop(etc: Path, name: str, text: str) -> None:
    (etc / "shops.d" / f"{name}.toml").write_text(text, encoding="utf-8")


def broken(etc: Path, text: str) -> ConfigError:
    (etc / "syncd.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(etc / "syncd.toml")
    return caught.value


def test_an_empty_file_gives_the_defaults_and_finds_the_shops_beside_it(etc: Path) -> None:
    write_shop(etc, "mall-main", 'channel = "mall"\nwrites = "on"\n[mall]\nshop_url = "x"\n')
    config = load(etc / "syncd.toml")
    assert config.settings.limits.stockout_seconds == 30
    assert config.settings.address == ("127.0.0.1", 8484)
    assert [(s.name, s.shop.writes, dict(s.channel_table)) for s in config.shops] == [
        ("mall-main", Writes.ON, {"shop_url": "x"})
    ]
    assert config.problems == ()


def test_relative_paths_count_from_the_folder_of_the_file(etc: Path) -> None:
    (etc / "syncd.toml").write_text('state_dir = "state"\nshops_dir = "shops.d"\n')
    settings = load(etc / "syncd.toml").settings
    assert (settings.state_dir, settings.shops_dir) == (etc / "state", etc / "shops.d")
    (etc / "syncd.toml").write_text('state_dir = "/srv/state"\n')
    assert load(etc / "syncd.toml").settings.state_dir == Path("/srv/state")


def test_settings_cannot_be_changed_after_they_are_read(etc: Path) -> None:
    settings = load(etc / "syncd.toml").settings
    with pytest.raises(ValueError, match="frozen"):
        settings.limits.stockout_seconds = 5


def test_an_unknown_key_is_named_with_its_line_and_the_nearest_key(etc: Path) -> None:
    error = broken(etc, "# limits\n[limits]\nstockout_secs = 3\n")
    [problem] = error.problems
    assert (problem.line, problem.key, error.exit_code) == (3, "limits.stockout_secs", 78)
    assert str(error) == f"{etc / 'syncd.toml'}:3: limits.stockout_secs: unknown; did you mean stockout_seconds?"


def test_an_unknown_table_is_named_with_its_line_and_the_nearest_table(etc: Path) -> None:
    [problem] = broken(etc, "\n\n[limit]\nstockout_seconds = 3\n").problems
    assert (problem.line, problem.key, problem.text) == (3, "limit", "unknown; did you mean limits?")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("drain_seconds = 5\n", "it belongs under [stop]"),
        ('[stop]\nlisten = "127.0.0.1:1"\n', "it belongs above the first [table]"),
    ],
)
def test_a_key_in_the_wrong_table_is_told_its_home(etc: Path, text: str, told: str) -> None:
    [problem] = broken(etc, text).problems
    assert told in problem.text


def test_unreadable_toml_is_named_with_line_and_column(etc: Path) -> None:
    [problem] = broken(etc, "[limits]\nstockout_seconds = = 3\n").problems
    assert (problem.line, problem.column) == (2, 20)
    assert problem.text == "not TOML: Invalid value"


def test_every_mistake_of_a_file_is_told_at_once(etc: Path) -> None:
    error = broken(etc, 'listen = "here"\n[full_sync]\nat = "25:00"\nzone = "Asia/Tokio"\n[brake]\nshare = 2\n')
    assert [(p.line, p.key) for p in error.problems] == [
        (1, "listen"),
        (3, "full_sync.at"),
        (4, "full_sync.zone"),
        (6, "brake.share"),
    ]


@pytest.mark.parametrize("zone", ["", "/etc/passwd", "../x", "Asia/Tokio"])
def test_a_zone_that_is_none_is_refused(etc: Path, zone: str) -> None:
    [problem] = broken(etc, f'[full_sync]\nzone = "{zone}"\n').problems
    assert "zone" in problem.text


@pytest.mark.parametrize("at", ["3:30", "03:30:10", "24:00", "soon", "T03:30"])
def test_a_time_of_day_that_is_none_is_refused(etc: Path, at: str) -> None:
    [problem] = broken(etc, f'[full_sync]\nat = "{at}"\n').problems
    assert "03:30" in problem.text


def test_a_full_sync_can_be_switched_off(etc: Path) -> None:
    (etc / "syncd.toml").write_text('[full_sync]\nat = ""\n')
    assert load(etc / "syncd.toml").settings.full_sync.time_of_day is None


def test_a_file_that_is_not_there_is_a_plain_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"syncd\.toml: No such file or directory"):
        load(tmp_path / "syncd.toml")


def test_a_shops_folder_that_was_set_must_be_there_the_default_need_not(tmp_path: Path) -> None:
    (tmp_path / "syncd.toml").write_text("")
    assert load(tmp_path / "syncd.toml").shops == ()
    assert "No such file" in str(broken(tmp_path, 'shops_dir = "nowhere"\n'))


def test_a_broken_shop_file_is_a_problem_of_that_shop_only(etc: Path) -> None:
    write_shop(etc, "good", 'channel = "mall"\n')
    write_shop(etc, "bad", 'channel = "mall"\nwrites = "yes"\n')
    write_shop(etc, "worse", "channel = \n")
    config = load(etc / "syncd.toml")
    assert [shop.name for shop in config.shops] == ["good"]
    assert [(p.shop, p.line, p.key) for p in config.problems] == [("bad", 2, "writes"), ("worse", 1, "")]
    assert config.problems[0].text == "should be 'off', 'dry_run' or 'on'"


def test_a_shop_file_that_is_not_utf_8_is_told_by_its_line(etc: Path) -> None:
    (etc / "shops.d" / "sjis.toml").write_bytes('channel = "mall"\n# 店舗\n'.encode("cp932"))
    [problem] = load(etc / "syncd.toml").problems
    assert (problem.shop, problem.line, problem.text) == ("sjis", 2, "not UTF-8; save the file as UTF-8")


def test_a_byte_order_mark_is_taken(etc: Path) -> None:
    (etc / "shops.d" / "note.toml").write_bytes(b'\xef\xbb\xbfchannel = "mall"\n')
    assert [shop.name for shop in load(etc / "syncd.toml").shops] == ["note"]


def test_returned_goods_are_told_for_a_shop_and_for_a_reason(etc: Path) -> None:
    told = 'returns = "inspect"\nreturns_by_reason = { damaged = "never", refused = "back" }\n'
    write_shop(etc, "mall", f'channel = "mall"\n{told}[mall]\n')
    [shop] = load(etc / "syncd.toml").shops
    assert shop.shop.returns is Returns.INSPECT
    assert shop.shop.returns_by_reason == {ReturnReason.DAMAGED: Returns.NEVER, ReturnReason.REFUSED: Returns.BACK}
    write_shop(etc, "mall", 'channel = "mall"\nreturns_by_reason = { late = "back" }\n[mall]\n')
    [problem] = load(etc / "syncd.toml").problems
    assert "returns_by_reason" in str(problem)


def test_the_name_of_a_shop_is_its_file_s_name(etc: Path) -> None:
    write_shop(etc, "one", 'name = "two"\nchannel = "mall"\n')
    [problem] = load(etc / "syncd.toml").problems
    assert (problem.shop, problem.line) == ("one", 1)
    assert "rename the file" in problem.text


@pytest.mark.parametrize("name", ["Rakuten.toml", "楽天.toml", "a_b.toml", "-a.toml", "a.TOML", "a b.toml", "a.b.toml"])
def test_only_lower_case_ascii_names_a_shop(etc: Path, name: str) -> None:
    (etc / "shops.d" / name).write_text('channel = "mall"\n')
    config = load(etc / "syncd.toml")
    assert config.shops == ()
    assert "a-z, 0-9 and -" in config.problems[0].text


@pytest.mark.parametrize("name", ["README", "x.toml.sample", ".x.toml", "x.toml~"])
def test_other_files_in_the_shops_folder_are_left_alone(etc: Path, name: str) -> None:
    (etc / "shops.d" / name).write_text("not toml at all")
    config = load(etc / "syncd.toml")
    assert (config.shops, config.problems) == ((), ())


def test_a_folder_named_like_a_shop_hurts_nobody_else(etc: Path) -> None:
    (etc / "shops.d" / "folder.toml").mkdir()
    write_shop(etc, "good", 'channel = "mall"\n')
    config = load(etc / "syncd.toml")
    assert ([s.name for s in config.shops], [p.shop for p in config.problems]) == (["good"], ["folder"])


def test_a_shop_without_channel_is_told_just_that(etc: Path) -> None:
    write_shop(etc, "x", '[mall]\nshop_url = "x"\n')
    [problem] = load(etc / "syncd.toml").problems
    assert (problem.key, problem.text) == ("channel", "is required")


@pytest.mark.parametrize(
    ("text", "key", "told"),
    [
        ('channel = "mall"\n[mal]\n', "mal", "unknown; did you mean mall?"),
        ('channel = "mall"\nwrite = "on"\n', "write", "unknown; did you mean writes?"),
        ('channel = "mall"\nmall = 3\n', "mall", "is the channel's own table: write [mall] and its settings below"),
    ],
)
def test_a_mistake_in_a_shop_file_is_told_with_the_way_out(etc: Path, text: str, key: str, told: str) -> None:
    write_shop(etc, "x", text)
    [problem] = load(etc / "syncd.toml").problems
    assert (problem.line, problem.key, problem.text) == (2, key, told)


def test_a_channel_table_becomes_the_plugin_s_settings_with_its_secrets_read(
    etc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNCD_TEST_LICENCE", "licence-4711")
    monkeypatch.setenv("SYNCD_TEST_TOKEN", "inner-0815")
    table = '[mall]\nshop_url = "x"\nlicence = { env = "SYNCD_TEST_LICENCE" }\n'
    write_shop(etc, "x", f'channel = "mall"\n{table}[mall.inner]\ntoken = {{ env = "SYNCD_TEST_TOKEN" }}\n')
    [shop] = load(etc / "syncd.toml").shops
    settings = channel_settings(shop, MallSettings)
    assert settings.licence == SecretStr("licence-4711")
    assert redact("got licence-4711 and inner-0815") == "got *** and ***"


def test_a_mistake_in_a_channel_table_names_shop_line_and_key(etc: Path) -> None:
    write_shop(
        etc, "x", 'channel = "mall"\n\n[mall]\nshop_ur = "x"\nlicence = { env = "SYNCD_NOT_SET" }\nwrites = "on"\n'
    )
    [shop] = load(etc / "syncd.toml").shops
    with pytest.raises(ConfigError) as caught:
        channel_settings(shop, MallSettings)
    assert {(p.shop, p.line, p.key, p.text) for p in caught.value.problems} == {
        ("x", 3, "mall.shop_url", "is required"),
        ("x", 4, "mall.shop_ur", "unknown; did you mean shop_url?"),
        ("x", 5, "mall.licence", "environment variable SYNCD_NOT_SET is not set"),
        ("x", 6, "mall.writes", "unknown here; it belongs above the first [table], not under [mall]"),
    }


def test_a_secret_pasted_in_clear_is_refused_and_never_shown(etc: Path) -> None:
    write_shop(etc, "x", 'channel = "mall"\n[mall]\nshop_url = "x"\nlicence = "SL-clear-text-1"\n')
    [shop] = load(etc / "syncd.toml").shops
    with pytest.raises(ConfigError, match="give a secret by reference") as caught:
        channel_settings(shop, MallSettings)
    assert "SL-clear-text-1" not in f"{caught.value}{caught.value.problems!r}{shop!r}"
    assert caught.value.__cause__ is None


def test_a_secret_file_that_others_can_read_is_refused_with_the_command_that_mends_it(etc: Path) -> None:
    secret = etc / "licence"
    secret.write_text("licence-5000")
    secret.chmod(0o644)
    write_shop(etc, "x", f'channel = "mall"\n[mall]\nshop_url = "x"\nlicence = {{ file = "{secret}" }}\n')
    [shop] = load(etc / "syncd.toml").shops
    with pytest.raises(ConfigError, match="chmod 600"):
        channel_settings(shop, MallSettings)
    secret.chmod(0o600)
    assert channel_settings(shop, MallSettings).licence.get_secret_value() == "licence-5000"


@pytest.mark.parametrize(
    "value", ["http://hooks.example.com", "hooks.example.com", "https://", "https://h.example/?a=1"]
)
def test_an_address_that_malls_cannot_push_to_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="malls push to https only"):
        Settings(webhooks_url=value)


def test_the_second_listener_is_off_unless_set() -> None:
    assert Settings().webhooks_address is None
    assert Settings(listen_webhooks="[::1]:8485").webhooks_address == ("::1", 8485)
