"""Login with Amazon: an access token of one hour for the long-lived refresh token.

Grants are kept by the core under the application and the account; only one refresher works at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from pydantic import SecretStr

from syncd.sdk.channel import ShopContext
from syncd.sdk.errors import BrokenAnswer, SignInRequired, Unavailable
from syncd.sdk.grants import Grant
from syncd.sdk.http import HttpClient, read_json, shown
from syncd_amazon.settings import AmazonSettings

TOKEN_ADDRESS = "https://api.amazon.com"  # noqa: S105  # an address, not a secret
TOKEN_PATH = "/auth/o2/token"  # noqa: S105  # a path, not a secret
RENEW_BEFORE_SECONDS = 120.0
LIFE_SECONDS = 3600.0
PASSING = frozenset({"server_error", "temporarily_unavailable"})
REVOKED = "invalid_grant"


class Refused(SignInRequired):
    """Amazon gives no token for what we hold."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class Tokens:
    """Gives the access token in force. Callers that find it ended wait for one refresh, never for one each."""

    def __init__(self, base_url: str, settings: AmazonSettings, context: ShopContext, scope: str = "") -> None:
        """With a `scope`, tokens for calls that no seller grants: for the application itself."""
        self._http: HttpClient = context.http(base_url)
        self._settings = settings
        self._clock = context.clock
        self._grants = context.grants
        self._scope = scope
        self._name = f"{settings.client_id}/{scope or settings.seller_id}"

    async def current(self, refused: SecretStr | None = None) -> SecretStr:
        """The token to send; never `refused` again."""
        grant = await self._grants.load(self._name)
        if grant is None or not self._holds(grant, refused):
            async with self._grants.renewing(self._name) as newest:
                grant = newest
                if grant is None or not self._holds(grant, refused):
                    grant = await self._renewed(grant)
                    await self._grants.save(self._name, grant)
        return grant.access

    def _holds(self, grant: Grant, refused: SecretStr | None) -> bool:
        if refused is not None and grant.access.get_secret_value() == refused.get_secret_value():
            return False
        return grant.ends_at is None or grant.ends_at > self._clock.now()

    async def _renewed(self, grant: Grant | None) -> Grant:
        """A fresh grant. The refresh token given last is tried first, then the one of the settings."""
        given = self._settings.refresh_token
        if self._scope:
            return await self._ask({"grant_type": "client_credentials", "scope": self._scope}, None)
        kept = grant.refresh if grant is not None and grant.refresh is not None else given
        try:
            return await self._ask(refresh_with(kept), kept)
        except Refused as error:
            if error.code != REVOKED or kept.get_secret_value() == given.get_secret_value():
                raise
        return await self._ask(refresh_with(given), given)

    async def _ask(self, how: Mapping[str, str], refresh: SecretStr | None) -> Grant:
        began = self._clock.now()
        answer = await self._http.send(
            "token",
            "POST",
            TOKEN_PATH,
            content=form_body(
                {
                    **how,
                    "client_id": self._settings.client_id,
                    "client_secret": self._settings.client_secret.get_secret_value(),
                }
            ),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            accept=lambda status: status < 500 and status != 429,
        )
        body = read_json(answer, "token")
        if answer.status_code != 200:
            raise_refused(answer.status_code, body)
        access, seconds, renewed = read_token(body)
        ends_at = began + timedelta(seconds=max(seconds - RENEW_BEFORE_SECONDS, seconds / 2))
        return Grant(SecretStr(access), SecretStr(renewed) if renewed else refresh, ends_at)

    async def aclose(self) -> None:
        await self._http.aclose()


def refresh_with(token: SecretStr) -> dict[str, str]:
    """The fields that ask for a token with a refresh token."""
    return {"grant_type": "refresh_token", "refresh_token": token.get_secret_value()}


def form_body(fields: Mapping[str, str]) -> bytes:
    """The fields as a form of the web."""
    return urlencode(fields).encode()


def raise_refused(status: int, body: Any) -> None:
    """Raise what a refused token means: a person is needed, or Amazon has trouble of its own."""
    code = str(body.get("error", "")) if isinstance(body, Mapping) else ""
    told = str(body.get("error_description", "")) if isinstance(body, Mapping) else ""
    text = f"token: {status} {shown(f'{code} {told}')}"
    if code in PASSING:
        raise Unavailable(text)
    if not code:
        raise BrokenAnswer(text)
    if code == REVOKED:
        raise Refused(f"{text}; the application was unauthorised: authorise it again in Seller Central", code)
    raise Refused(f"{text}; client_id or client_secret is wrong, or the secret was not rotated in time", code)


def read_token(body: Any) -> tuple[str, float, str]:
    """Access token, its life in seconds, and the refresh token given with it (empty if none). Raises BrokenAnswer."""
    if not isinstance(body, Mapping) or not isinstance(body.get("access_token"), str) or not body["access_token"]:
        raise BrokenAnswer("token: no access_token in the answer")
    seconds, renewed = body.get("expires_in"), body.get("refresh_token")
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or seconds <= 0:
        seconds = LIFE_SECONDS
    return body["access_token"], float(seconds), renewed if isinstance(renewed, str) else ""
