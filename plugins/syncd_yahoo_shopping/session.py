"""The sign-in (YConnect v2): a person signs in every 28 days, an access token lives an hour.

Every store of one application and one Yahoo! JAPAN ID shares the grant and its lock, so one of them renews for all.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from pydantic import SecretStr

from syncd.sdk.channel import ShopContext, SignInPage
from syncd.sdk.errors import BrokenAnswer, SignInRequired, Unavailable
from syncd.sdk.grants import Grant
from syncd.sdk.http import HttpClient, read_json, shown
from syncd_yahoo_shopping.settings import YahooShoppingSettings

ADDRESS = "https://auth.login.yahoo.co.jp"
CONSENT_PATH = "/yconnect/v2/authorization"
TOKEN_PATH = "/yconnect/v2/token"  # noqa: S105  # a path, not a secret
ASSUMED_LIFE_SECONDS = 3600.0
RENEW_BEFORE_SECONDS = 300.0
SIGNED_IN_DAYS = 28
CODE_LIFE_SECONDS = 600  # the code's own life; an answer to an older page is not worth a try


class Session:
    """Gives the access token in force. Callers that find it dead wait for one renewal, never for one each."""

    def __init__(self, base_url: str, settings: YahooShoppingSettings, context: ShopContext) -> None:
        self._settings = settings
        self._clock = context.clock
        self._grants = context.grants
        self._address = base_url.rstrip("/")
        client = f"{settings.client_id}:{settings.client_secret.get_secret_value()}"
        basic = "Basic " + base64.b64encode(client.encode()).decode()
        self._http: HttpClient = context.http(self._address, headers={"Authorization": basic})
        self.name = "/".join(filter(None, (settings.client_id, settings.signed_in_as)))

    async def aclose(self) -> None:
        await self._http.aclose()

    # -- the token in force --------------------------------------------------------------------------------

    async def token(self, refused: SecretStr | None = None) -> SecretStr:
        """The access token to send; a new one when the old one ends, or when it is the one just refused.

        Raises SignInRequired when a person has to sign in (again).
        """
        grant = await self._grants.load(self.name)
        if grant is not None and not self._is_dead(grant, refused):
            return grant.access
        async with self._grants.renewing(self.name) as newest:
            if newest is None or self._is_dead(newest, refused):  # nobody renewed it while we waited
                newest = await self._renewed(newest)
            return newest.access

    def _is_dead(self, grant: Grant, refused: SecretStr | None) -> bool:
        if refused is not None and grant.access.get_secret_value() == refused.get_secret_value():
            return True
        return grant.ends_at is not None and grant.ends_at <= self._clock.now()

    async def signed_in_until(self) -> datetime | None:
        """When the sign-in ends; None where that is not known (a token obtained elsewhere)."""
        grant = await self._grants.load(self.name)
        return None if grant is None else grant.signed_in_until

    async def _renewed(self, old: Grant | None) -> Grant:
        """Renew and save. Called under the lock. Yahoo's answer has a refresh token only when it changed."""
        refresh = (old and old.refresh) or self._settings.refresh_token
        if refresh is None:
            raise SignInRequired(f"nobody has signed in yet: run {self._command}")
        body = await self._ask({"grant_type": "refresh_token", "refresh_token": refresh.get_secret_value()})
        rotated = body.get("refresh_token")
        kept = SecretStr(rotated) if isinstance(rotated, str) and rotated else refresh
        grant = self._grant_of(body, kept, None if old is None else old.signed_in_until)
        await self._grants.save(self.name, grant)  # strictly before its first use
        return grant

    def _grant_of(self, body: Mapping[str, Any], refresh: SecretStr | None, until: datetime | None) -> Grant:
        seconds = body.get("expires_in")
        life = (
            float(seconds) if isinstance(seconds, int | float | str) and _is_number(seconds) else ASSUMED_LIFE_SECONDS
        )
        ends_at = self._clock.now() + timedelta(seconds=max(life / 2, life - RENEW_BEFORE_SECONDS))
        return Grant(SecretStr(str(body["access_token"])), refresh, ends_at, until)

    async def _ask(self, form: Mapping[str, str]) -> Mapping[str, Any]:
        """One call to the token endpoint. Its answer never reaches an error text whole: it holds the tokens."""
        answer = await self._http.send(
            "token",
            "POST",
            TOKEN_PATH,
            content=urlencode(form).encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            accept=lambda status: status < 500 and status != 429,
        )
        body = read_json(answer, "token")
        if not isinstance(body, Mapping):
            raise BrokenAnswer("token: no JSON object")
        error = body.get("error")
        if answer.status_code != 200 or error:
            code = shown(str(error or "no error named"))
            if error == "temporarily_unavailable":
                raise Unavailable(f"token: {answer.status_code} {code}")
            raise SignInRequired(f"token: {answer.status_code} {code}; the sign-in is over: run {self._command}")
        if not isinstance(body.get("access_token"), str) or not body["access_token"]:
            raise BrokenAnswer("token: no access_token in the answer")
        return body

    @property
    def _command(self) -> str:
        return "`syncd shops sign-in` for this shop"

    # -- a person signs in ---------------------------------------------------------------------------------

    def page(self) -> SignInPage:
        """The page where a person signs in with the Yahoo! JAPAN ID of the store."""
        query = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._settings.redirect_uri,
            "scope": "openid profile",
            "bail": "1",
            "state": self._state(int(self._clock.now().timestamp())),
        }
        return SignInPage(
            address=f"{self._address}{CONSENT_PATH}?{urlencode(query)}",
            bring_back="the whole address of the page you land on after you signed in with the Yahoo! JAPAN ID that"
            f" manages the store and agreed: it begins with {self._settings.redirect_uri} and holds code=… (the page"
            " itself may not open). It is good for 10 minutes",
        )

    async def sign_in(self, brought_back: str) -> None:
        """Turn the landing address, or the bare code in it, into a grant of 28 days and keep it."""
        code = self._code_in(brought_back.strip())
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self._settings.redirect_uri}
        began = self._clock.now()
        async with self._grants.renewing(self.name):
            body = await self._ask(form)
            refresh = body.get("refresh_token")
            if not isinstance(refresh, str) or not refresh:
                raise BrokenAnswer("token: no refresh_token after a sign-in")
            grant = self._grant_of(body, SecretStr(refresh), began + timedelta(days=SIGNED_IN_DAYS))
            await self._grants.save(self.name, grant)

    def _code_in(self, brought_back: str) -> str:
        query = parse_qs(urlsplit(brought_back).query)
        if not query and brought_back and not set(brought_back) & set("/?&= "):
            return brought_back
        if "error" in query:
            raise ValueError(f"Yahoo! did not give the right: {shown(query['error'][0])}")
        if not query.get("code"):
            raise ValueError("no code=… in it; bring back the whole address of the page after the sign-in")
        if "state" in query:
            self._check_state(query["state"][0])
        return query["code"][0]

    # The state proves that an address belongs to a page that we gave out, to this store, a short while ago.

    def _state(self, asked_at: int) -> str:
        plain = f"{self._settings.seller_id}:{self.name}:{asked_at}".encode()
        seal = hmac.new(self._settings.client_secret.get_secret_value().encode(), plain, hashlib.sha256)
        return f"{asked_at}.{seal.hexdigest()[:32]}"

    def _check_state(self, state: str) -> None:
        asked_at = state.partition(".")[0]
        if not asked_at.isdigit() or not hmac.compare_digest(state, self._state(int(asked_at))):
            raise ValueError("this address answers another sign-in page; open the one of this shop")
        if self._clock.now().timestamp() - int(asked_at) > CODE_LIFE_SECONDS:
            raise ValueError("the sign-in page is older than 10 minutes; open a new one")


def _is_number(value: object) -> bool:
    try:
        return not isinstance(value, bool) and float(str(value)) > 0
    except ValueError:
        return False
