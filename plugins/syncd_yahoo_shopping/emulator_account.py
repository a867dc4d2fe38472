"""The application side of the emulator: sign-ins, tokens, the order key, and rates that all of its stores share."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from urllib.parse import parse_qs, urlencode, urlsplit

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from syncd.clock import Clock
from syncd.testing.emulator import RateJudge
from syncd_yahoo_shopping.wire import JST

CLIENT_ID = "emulated-application"
CLIENT_SECRET = "emulated-secret"  # noqa: S105  # opens the emulator only
REDIRECT_URI = "https://localhost/"
KEY_VERSION = "4"
CALLS_A_DAY = 50_000
URLS = (
    "set_stock", "get_stock", "upload_stock", "my_item_list", "get_item",
    "order_count", "order_list", "order_info", "order_ship",
)  # fmt: skip


@cache
def order_key() -> rsa.RSAPrivateKey:
    """The key pair of order calls, one a process."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_pem() -> str:
    """The half that Yahoo shows to the store."""
    return order_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@dataclass(slots=True)
class ClosingRate(RateJudge):
    """One call a second; whoever exceeds it finds the URL closed for a while."""

    lock_seconds: float = 60.0
    _closed_until: float = -math.inf

    def admit(self, now: float, cost: float = 1.0) -> bool:
        if now < self._closed_until:
            return False
        if RateJudge.admit(self, now, cost):
            return True
        self._closed_until = now + self.lock_seconds
        return False

    def wait_seconds(self, now: float, cost: float = 1.0) -> float:
        return max(self._closed_until - now, RateJudge.wait_seconds(self, now, cost))


@dataclass(slots=True)
class SignIn:
    """One refresh token: good until then, and for that application only."""

    token: str
    until: datetime


@dataclass(slots=True)
class Application:
    """One application ID at Yahoo. Several emulated stores may share it."""

    clock: Clock
    rotates: bool = False
    lock_seconds: float = 60.0
    rates: dict[str, RateJudge] = field(default_factory=dict)
    calls_today: int = 0
    calls_beyond: int = 0
    refreshed: int = 0
    _today: str = ""
    _numbers: int = 0
    _codes: dict[str, datetime] = field(default_factory=dict)
    _access: dict[str, datetime] = field(default_factory=dict)
    _sign_ins: dict[str, SignIn] = field(default_factory=dict)
    first_token: str = ""

    def __post_init__(self) -> None:
        self.rates = {name: ClosingRate(per_second=1, lock_seconds=self.lock_seconds) for name in URLS}
        self.first_token = self._sign_in().token

    # -- a person signs in ---------------------------------------------------------------------------------

    def consent(self, address: str) -> str:
        """A person opens the page, signs in and agrees: the address they land on."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        right = asked.get("client_id") == CLIENT_ID and asked.get("redirect_uri") == REDIRECT_URI
        if not right or asked.get("response_type") != "code" or "openid" not in asked.get("scope", ""):
            return f"{REDIRECT_URI}?{urlencode({'error': 'invalid_request'})}"
        code = self._number("code")
        self._codes[code] = self.clock.now() + timedelta(seconds=600)
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked.get('state', '')})}"

    def _sign_in(self) -> SignIn:
        made = SignIn(self._number("refresh"), self.clock.now() + timedelta(days=28))
        self._sign_ins[made.token] = made
        return made

    def revoke(self) -> None:
        """The shop withdraws the right: nothing given out so far works any longer."""
        self._access.clear()
        self._sign_ins.clear()

    def expire_access(self) -> None:
        """Every access token ends now."""
        self._access.clear()

    # -- the token endpoint --------------------------------------------------------------------------------

    def token(self, authorization: str, form: Mapping[str, str]) -> tuple[int, dict[str, object]]:
        """Answer of the token endpoint."""
        expected = "Basic " + base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        in_body = form.get("client_id") == CLIENT_ID and form.get("client_secret") == CLIENT_SECRET
        if authorization != expected and not in_body:
            return 401, {"error": "invalid_client", "error_description": "client authentication failed"}
        if form.get("grant_type") == "authorization_code":
            ends = self._codes.pop(form.get("code", ""), None)
            if ends is None or ends < self.clock.now() or form.get("redirect_uri") != REDIRECT_URI:
                return 400, {"error": "invalid_grant", "error_description": "code is invalid"}
            return 200, {**self._access_token(), "refresh_token": self._sign_in().token, "id_token": "e30.e30."}
        if form.get("grant_type") == "refresh_token":
            return self._refresh(form.get("refresh_token", ""))
        return 400, {"error": "unsupported_grant_type"}

    def _refresh(self, token: str) -> tuple[int, dict[str, object]]:
        """A refresh token is not extended by use; it rotates only under that switch."""
        sign_in = self._sign_ins.get(token)
        if sign_in is None or sign_in.until <= self.clock.now():
            return 400, {"error": "invalid_grant", "error_description": "expired token", "error_code": 2100}
        self.refreshed += 1
        if not self.rotates:
            return 200, self._access_token()
        del self._sign_ins[token]
        rotated = self._sign_in()
        rotated.until = sign_in.until
        return 200, {**self._access_token(), "refresh_token": rotated.token}

    def _access_token(self) -> dict[str, object]:
        token = self._number("access")
        self._access[token] = self.clock.now() + timedelta(seconds=3600)
        return {"access_token": token, "token_type": "Bearer", "expires_in": 3600}

    def _number(self, kind: str) -> str:
        self._numbers += 1
        return f"{kind}-token-{self._numbers:06d}"

    def is_alive(self, authorization: str) -> bool:
        """Whether an access token is in force."""
        ends = self._access.get(authorization.removeprefix("Bearer "))
        return ends is not None and ends > self.clock.now()

    # -- the day's calls -----------------------------------------------------------------------------------

    def admit_today(self) -> bool:
        """Count a call against the day's."""
        today = self.clock.now().astimezone(JST).strftime("%Y-%m-%d")
        if today != self._today:
            self._today, self.calls_today = today, 0
        if self.calls_today >= CALLS_A_DAY:
            self.calls_beyond += 1
            return False
        self.calls_today += 1
        return True


def opened(signature: str) -> str | None:
    """The text in a signature header, None when it was not made with our public key."""
    try:
        return order_key().decrypt(base64.b64decode(signature, validate=True), padding.PKCS1v15()).decode()
    except ValueError:
        return None
