"""Order notifications as Amazon's schema has them, made by the emulator."""

from __future__ import annotations

import json

from syncd_amazon.settings import JAPAN

SELLER = "A2EMULATEDSELLER"


def notice(number: str, *, id_: str = "n-1", seller: str = SELLER, market: str = JAPAN, by: str = "MFN") -> str:
    """A notification as Amazon's schema has it."""
    now = "2026-11-25T06:00:00.000Z"
    dates = ("EarliestDeliveryDate", "LatestDeliveryDate", "EarliestShipDate", "LatestShipDate", "CancelNotifyDate")
    item = {
        "OrderItemId": "1", "SellerSKU": "TEE-0", "SupplySourceId": "s", "OrderItemStatus": "Unshipped", "Quantity": 1,
        "QuantityShipped": 0, "IsBuyerRequestedCancel": False, "ItemEarliestDeliveryDate": now,
        "ItemLatestDeliveryDate": now,
    }  # fmt: skip
    summary = {
        "MarketplaceId": market, "OrderStatus": "Unshipped", "PurchaseDate": now, "DestinationPostalCode": "100",
        "FulfillmentType": by, "OrderType": "StandardOrder", "NumberOfItemsShipped": 0, "NumberOfItemsUnshipped": 1,
        **dict.fromkeys(dates, now), "OrderPrograms": ["Business"], "ShippingPrograms": ["EasyShip"],
        "EasyShipShipmentStatus": "Delivered", "ElectronicInvoiceStatus": "NotFound", "OrderItems": [item],
    }  # fmt: skip
    told = {
        "NotificationLevel": "OrderLevel", "SellerId": seller, "AmazonOrderId": number,
        "OrderChangeType": "OrderStatusChange",
        "OrderChangeTrigger": {"TimeOfOrderChange": now, "ChangeReason": "none"}, "Summary": summary,
    }  # fmt: skip
    known_as = {"ApplicationId": "a", "SubscriptionId": "s", "PublishTime": now, "NotificationId": id_}
    return json.dumps(
        {
            "NotificationVersion": "1.0",
            "NotificationType": "ORDER_CHANGE",
            "PayloadVersion": "1.0",
            "EventTime": now,
            "Payload": {"OrderChangeNotification": told},
            "NotificationMetadata": known_as,
        }
    )
