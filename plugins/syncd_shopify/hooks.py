"""Pushes of one shop: verified, and the subscriptions kept as they should be."""

from __future__ import annotations

from pydantic import SecretStr

from syncd.sdk.channel import Hint, Webhook
from syncd.sdk.errors import BrokenAnswer, CallRefused
from syncd.sdk.http import shown
from syncd_shopify.admin import AdminApi
from syncd_shopify.documents import ADD_HOOK, DROP_HOOK, HOOKS, Document
from syncd_shopify.settings import ShopifySettings, StockPushes
from syncd_shopify.wire import read_page, read_user_errors
from syncd_shopify.wire_hooks import Subscription, hook_input, plan, read_push, read_subscriptions, topics

TAKEN = "has already been taken"
MOST_PAGES = 20


class Pushes:
    """Needs the app's secret: the client secret, or for an app made in the admin its API secret key."""

    def __init__(self, api: AdminApi, settings: ShopifySettings) -> None:
        self._api = api
        self._settings = settings

    @property
    def secret(self) -> SecretStr | None:
        return self._settings.push_secret

    def receive(self, webhook: Webhook) -> Hint:
        """Raises ValueError for a push that is not ours."""
        if self.secret is None:
            raise ValueError("no secret to verify a push with")
        return read_push(webhook, self.secret.get_secret_value(), self._settings.shop, self._settings.location_gid)

    async def register(self, address: str) -> None:
        """Have each topic pushed to the address once. What is there already costs one read."""
        wanted = topics(stock=self._settings.stock_pushes is StockPushes.ON)
        missing, gone = plan(await self._known(), wanted, address)
        for topic in missing:
            await self._change(ADD_HOOK, {"topic": topic, "hook": hook_input(topic, address)})
        for one in gone:
            await self._change(DROP_HOOK, {"id": one.gid})

    async def _known(self) -> list[Subscription]:
        found: list[Subscription] = []
        after: str | None = None
        for _ in range(MOST_PAGES):
            data = await self._api.run(HOOKS, {"after": after})
            nodes, after = read_page(data.get("webhookSubscriptions"), HOOKS.name)
            found += read_subscriptions(nodes)
            if after is None:
                return found
        raise BrokenAnswer("Hooks: pages without end")

    async def _change(self, document: Document, variables: dict[str, object]) -> None:
        data = await self._api.run(document, variables)
        payload = data.get("webhookSubscriptionCreate" if document is ADD_HOOK else "webhookSubscriptionDelete")
        if not isinstance(payload, dict):
            raise BrokenAnswer(f"{document.name}: no payload in the answer")
        errors = [one.message for one in read_user_errors(payload, document.name)]
        if document is ADD_HOOK and errors and all(TAKEN in one for one in errors):
            return  # somebody was quicker: it is there
        if document is ADD_HOOK and errors:
            raise CallRefused(f"{document.name}: {shown('; '.join(errors))}")
