"""The admin token is set by reference, or made once and kept."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from syncd.config import Settings, admin_token, make_admin_token
from syncd.sdk.settings import SecretError
from syncd.telemetry import redact


def test_a_token_is_made_once_with_mode_0600_and_then_kept(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path / "state")
    assert admin_token(settings) is None
    made = make_admin_token(settings)
    assert (tmp_path / "state/admin.token").stat().st_mode & 0o777 == 0o600
    assert len(made.get_secret_value()) >= 43
    assert make_admin_token(settings) == made == admin_token(settings)
    assert [f.name for f in (tmp_path / "state").iterdir()] == ["admin.token"]


def test_a_made_token_is_masked_in_the_log(tmp_path: Path) -> None:
    made = make_admin_token(Settings(state_dir=tmp_path))
    assert redact(f"Bearer {made.get_secret_value()}") == "Bearer ***"


def test_a_token_that_is_set_wins_and_nothing_is_written(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path, admin_token=SecretStr("set-by-hand"))
    assert make_admin_token(settings).get_secret_value() == "set-by-hand"
    assert list(tmp_path.iterdir()) == []


def test_a_token_file_that_is_empty_or_open_to_others_is_refused(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path)
    file = tmp_path / "admin.token"
    file.touch(mode=0o600)
    with pytest.raises(SecretError, match="is empty"):
        make_admin_token(settings)
    file.chmod(0o640)
    with pytest.raises(SecretError, match="chmod 600"):
        make_admin_token(settings)
