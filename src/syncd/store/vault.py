"""Seals texts with the keys that an operator holds, so that a copy of the store alone gives no secret away.

Fernet of the `cryptography` package: AES-128-CBC with an HMAC over all of it. The first key seals, every key opens,
so that a key can be replaced: put the new one first, start, and take the old one out.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import SecretStr

KEY_BYTES = 32


class CannotOpen(Exception):
    """None of the keys opens it: it was sealed with another one, or changed since."""


class Vault:
    """Seals and opens. Raises ValueError for a key that is none; the text never holds it."""

    def __init__(self, keys: Sequence[SecretStr]) -> None:
        if not keys:
            raise ValueError("no encryption key is given")
        self._newest = _fernet(keys[0])
        self._fernet = MultiFernet([_fernet(key) for key in keys])

    @classmethod
    def passing(cls) -> Vault:
        """A vault whose key nobody keeps: what it seals ends with the process."""
        return cls([new_key()])

    def seal(self, text: str) -> str:
        return self._fernet.encrypt(text.encode()).decode("ascii")

    def open(self, sealed: str) -> str:
        """Raises CannotOpen."""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise CannotOpen("no key opens it") from None

    def reseal(self, sealed: str) -> str:
        """The same text under the first key, as it is where that key sealed it. Raises CannotOpen."""
        try:
            self._newest.decrypt(sealed.encode())
        except InvalidToken:
            return self.seal(self.open(sealed))
        return sealed


def new_key() -> SecretStr:
    """A key of its own."""
    return SecretStr(Fernet.generate_key().decode("ascii"))


def _fernet(key: SecretStr) -> Fernet:
    """A key in either alphabet of base64, so that `openssl rand -base64 32` makes one too."""
    text = key.get_secret_value().strip().translate(str.maketrans("+/", "-_"))
    try:
        raw = base64.b64decode(text, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != KEY_BYTES:
        raise ValueError("an encryption key is 32 random bytes in base64; make one with: openssl rand -base64 32")
    return Fernet(base64.urlsafe_b64encode(raw))
