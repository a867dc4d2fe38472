"""The admin API's bearer token: set by reference, or made once in the state folder."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from pydantic import SecretStr

from syncd.config.settings import Settings
from syncd.sdk.settings import SecretError, read_secret
from syncd.telemetry import register_secret

TOKEN_FILE = "admin.token"  # noqa: S105  # the file's name
TOKEN_BYTES = 32


def admin_token(settings: Settings) -> SecretStr | None:
    """The token that is set or was made before; None before the first start. Raises SecretError."""
    if settings.admin_token is not None:
        return settings.admin_token
    path = settings.state_dir / TOKEN_FILE
    if not path.exists():
        return None
    token = read_secret({"file": str(path)})
    if not token.get_secret_value():
        raise SecretError(f"{path} is empty; delete it and restart")
    register_secret(token)
    return token


def make_admin_token(settings: Settings) -> SecretStr:
    """The token, made in `state_dir/admin.token` (0600) if there is none. Never replaces one."""
    found = admin_token(settings)
    if found is not None:
        return found
    write_once(settings.state_dir / TOKEN_FILE, secrets.token_urlsafe(TOKEN_BYTES))
    made = admin_token(settings)
    if made is None:
        raise SecretError(f"{settings.state_dir / TOKEN_FILE} vanished while it was made")
    return made


def write_once(path: Path, text: str) -> None:
    """Write a whole new file that survives a power cut; another process that was first wins."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # unlike a rename, it never replaces a token in use
        except FileExistsError:
            return
        _sync_folder(path.parent)
    except OSError as error:
        raise SecretError(f"{path}: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
