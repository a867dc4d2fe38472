"""The access token of a shop: given once and for all, or fetched with the client's credentials before it ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
from pydantic import SecretStr

from syncd.clock import Clock
from syncd.sdk.errors import BrokenAnswer, SignInRequired
from syncd.sdk.http import HttpClient, read_json
from syncd_shopify.settings import ShopifySettings

TOKEN_PATH = "/admin/oauth/access_token"  # noqa: S105  # a path, not a secret
RENEW_BEFORE_SECONDS = 900.0
SHORTEST_LIFE_SECONDS = 60.0
ASSUMED_LIFE_SECONDS = 3600.0  # the sheet does not confirm expires_in


class Tokens:
    """Gives the token in force. Callers that find it stale wait for one refresh, never for one each."""

    def __init__(self, settings: ShopifySettings, http: HttpClient, clock: Clock) -> None:
        self._settings = settings
        self._http = http
        self._clock = clock
        self._token: SecretStr | None = settings.access_token
        self._ends_at: float | None = None
        self._lock = anyio.Lock()

    @property
    def renewable(self) -> bool:
        """Whether a refused token can be replaced without a person."""
        return self._settings.access_token is None

    async def current(self, refused: SecretStr | None = None) -> SecretStr:
        """The token to send; never `refused` again where another can be fetched."""
        if not self.renewable:
            assert self._token is not None  # the settings demand it
            return self._token
        async with self._lock:
            if self._token is None or self._token is refused or self._ending():
                await self._fetch()
            assert self._token is not None  # just fetched
            return self._token

    def _ending(self) -> bool:
        return self._ends_at is not None and self._clock.monotonic() >= self._ends_at

    async def _fetch(self) -> None:
        secret = self._settings.client_secret
        assert secret is not None  # the settings demand it
        began = self._clock.monotonic()
        answer = await self._http.send(
            "token",
            "POST",
            TOKEN_PATH,
            json={
                "grant_type": "client_credentials",
                "client_id": self._settings.client_id,
                "client_secret": secret.get_secret_value(),
            },
        )
        if answer.status_code != 200:
            raise SignInRequired(f"token: {answer.status_code}; Shopify refuses client_id and client_secret")
        token, seconds = read_token(read_json(answer, "token"))
        self._ends_at = began + max(SHORTEST_LIFE_SECONDS, seconds - RENEW_BEFORE_SECONDS)
        self._token = SecretStr(token)


def read_token(body: Any) -> tuple[str, float]:
    """The token and its life in seconds from the answer of the token endpoint."""
    if not isinstance(body, Mapping) or not isinstance(body.get("access_token"), str) or not body["access_token"]:
        raise BrokenAnswer("token: no access_token in the answer")
    seconds = body.get("expires_in")
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        seconds = ASSUMED_LIFE_SECONDS
    return body["access_token"], float(seconds)
