"""The keys that seal grants in the store: set by reference, or one made once in the state folder."""

from __future__ import annotations

from pydantic import SecretStr

from syncd.config.settings import Settings
from syncd.config.token import write_once
from syncd.sdk.settings import SecretError, read_secret
from syncd.telemetry import register_secret

KEY_FILE = "store.key"


def encryption_keys(settings: Settings, fresh: SecretStr) -> tuple[SecretStr, ...]:
    """The keys, newest first: those that are set, one a line, then the one made earlier in `state_dir/store.key`.

    Where there is none at all, `fresh` is kept there (0600). Raises SecretError.
    """
    path = settings.state_dir / KEY_FILE
    set_keys = [] if settings.keys.encryption is None else _lines(settings.keys.encryption)
    if settings.keys.encryption is not None and not set_keys:
        raise SecretError("keys.encryption is empty; make a key with: openssl rand -base64 32")
    if not set_keys and not path.exists():
        write_once(path, fresh.get_secret_value())
    made = _lines(read_secret({"file": str(path)})) if path.exists() else []
    if not set_keys and not made:
        raise SecretError(f"{path} is empty; delete it and restart, then sign in again where a shop asks for it")
    keys = (*set_keys, *made)
    for key in keys:
        register_secret(key)
    return keys


def _lines(text: SecretStr) -> list[SecretStr]:
    return [SecretStr(line.strip()) for line in text.get_secret_value().splitlines() if line.strip()]
