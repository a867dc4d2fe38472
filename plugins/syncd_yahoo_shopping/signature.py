"""The signature of order calls: `seller:time`, encrypted with the public key that Yahoo issues to the store.

RSA with PKCS #1 v1.5 padding, as the fact sheet has it: encryption with a key of Yahoo's, not a signature with ours.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import SecretStr

from syncd.clock import Clock

SIGNATURE = "X-sws-signature"
VERSION = "X-sws-signature-version"


class Signature:
    """Makes the two headers of an order call. Raises ValueError for a text that is no RSA public key."""

    def __init__(self, public_key: SecretStr, version: str, seller_id: str, clock: Clock) -> None:
        try:
            key = load_pem_public_key(public_key.get_secret_value().encode())
        except ValueError:
            raise ValueError("public_key cannot be read; keep its BEGIN and END lines and its line ends") from None
        if not isinstance(key, rsa.RSAPublicKey):
            raise ValueError("public_key is not an RSA key")
        self._key = key
        self._version = version
        self._seller_id = seller_id
        self._clock = clock

    def headers(self) -> Mapping[str, str]:
        """Headers for a call that leaves now: how old a time stamp may be is not documented."""
        plain = f"{self._seller_id}:{self._clock.now_us() // 1_000_000}"
        sealed = self._key.encrypt(plain.encode(), padding.PKCS1v15())
        return {SIGNATURE: base64.b64encode(sealed).decode(), VERSION: self._version}
