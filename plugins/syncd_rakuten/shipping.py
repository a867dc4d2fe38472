"""Shipments out: read the orders, confirm those that wait for it, report each parcel that its order does not bear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from syncd.sdk.channel import Accepted, Reason, Rejected, Shipment, Unreported, WriteReport
from syncd.sdk.errors import BrokenAnswer, ChannelError, InDoubt
from syncd_rakuten.api import RakutenApi
from syncd_rakuten.settings import Confirm, RakutenSettings
from syncd_rakuten.shipments import PROCESSED_BY_RAKUTEN, UNCONFIRMED, CannotShip, body_of, rows_of

SHIPMENT_ROWS = 20  # a call for each at the order API's pace: longer would keep new orders waiting for no gain


class ShippingDesk:
    """Reports shipments of one shop. Keeps nothing: what an order bears already is read anew each time."""

    def __init__(self, api: RakutenApi, settings: RakutenSettings) -> None:
        self._api = api
        self._settings = settings

    async def send(self, shipments: Sequence[Shipment]) -> WriteReport:
        """Report shipments one by one. What Rakuten itself still checks (200) stays unreported, for later."""
        models = await self._api.order_models([one.order for one in shipments])
        models |= await self._confirm([number for number, model in models.items() if _progress(model) == UNCONFIRMED])
        rows: list[Accepted | Rejected] = []
        for index, shipment in enumerate(shipments):
            model = models.get(shipment.order)
            if model is not None and _progress(model) == PROCESSED_BY_RAKUTEN:
                continue
            try:
                rows.append(await self._report(index, shipment, model))
            except (InDoubt, BrokenAnswer) as error:
                if not rows:
                    raise InDoubt(str(error)) from error
                return WriteReport(tuple(rows), Unreported.UNSURE)
            except ChannelError:
                if not rows:
                    raise
                return WriteReport(tuple(rows))
        return WriteReport(tuple(rows))

    async def _confirm(self, numbers: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Confirm orders (注文確認), without which nothing ships, and read what became of them."""
        if not numbers or self._settings.confirm is Confirm.NEVER:
            return {}
        await self._api.confirm_orders(numbers)
        return await self._api.order_models(numbers)

    async def _report(self, index: int, shipment: Shipment, model: Mapping[str, Any] | None) -> Accepted | Rejected:
        if model is None:
            return Rejected(index, Reason.OTHER, f"Rakuten does not give order {shipment.order}")
        if _progress(model) == UNCONFIRMED:
            return Rejected(index, Reason.OTHER, "the order is not confirmed (注文確認待ち): confirm it in RMS first")
        try:
            rows = rows_of(model, shipment)
        except CannotShip as error:
            return Rejected(index, Reason.INVALID, str(error))
        except (KeyError, TypeError, ValueError) as error:
            return Rejected(index, Reason.OTHER, f"its order was not understood: {type(error).__name__} {error}")
        complaints = await self._api.update_shipping(body_of(shipment.order, rows)) if rows else ()
        if complaints:
            return Rejected(index, Reason.INVALID, "; ".join(str(one) for one in complaints[:3]))
        return Accepted(index)


def _progress(model: Mapping[str, Any]) -> int:
    return int(model.get("orderProgress") or 0)
