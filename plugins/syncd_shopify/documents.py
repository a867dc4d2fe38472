"""Every GraphQL document that is ever sent. They validate against the schemas of 2026-01, 2026-07 and 2026-10.

Inner pages are kept small (`$inner`): nested connections drive the requested cost, and few orders have more lines.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Document:
    """One GraphQL operation. `effect` is True for a mutation; `cost` is a first guess in points."""

    name: str
    text: str
    effect: bool = False
    cost: float = 10.0


SHOP = Document(
    "Shop",
    """query Shop($loc: ID!, $orders: [ID!]!) {
  shop { id myshopifyDomain }
  location(id: $loc) { id name isActive fulfillsOnlineOrders }
  locations(first: 50) { nodes { id name isActive fulfillsOnlineOrders } }
  currentAppInstallation { accessScopes { handle } }
  nodes(ids: $orders) { ... on Order { id createdAt } }
}""",
    cost=20,
)

SET_AVAILABLE = Document(
    "SetAvailable",
    """mutation SetAvailable($input: InventorySetQuantitiesInput!, $key: String!) {
  inventorySetQuantities(input: $input) @idempotent(key: $key) {
    inventoryAdjustmentGroup {
      id
      changes(quantityNames: ["available"]) { name delta quantityAfterChange item { id } location { id } }
    }
    userErrors { code field message }
  }
}""",
    effect=True,
    cost=12,
)

ACTIVATE = Document(
    "Activate",
    """mutation Activate($item: ID!, $loc: ID!, $key: String!) {
  inventoryActivate(inventoryItemId: $item, locationId: $loc) @idempotent(key: $key) {
    inventoryLevel { id }
    userErrors { field message }
  }
}""",
    effect=True,
    cost=11,
)

LEVELS = Document(
    "Levels",
    """query Levels($ids: [ID!]!, $loc: ID!) {
  nodes(ids: $ids) {
    ... on InventoryItem {
      id
      tracked
      inventoryLevel(locationId: $loc) { quantities(names: ["available"]) { name quantity } }
    }
  }
}""",
    cost=50,
)

VARIANTS = Document(
    "Variants",
    """query Variants($first: Int!, $after: String, $loc: ID!) {
  productVariants(first: $first, after: $after, sortKey: ID) {
    pageInfo { hasNextPage endCursor }
    nodes {
      id
      sku
      barcode
      displayName
      inventoryPolicy
      inventoryItem {
        id
        tracked
        duplicateSkuCount
        inventoryLevel(locationId: $loc) { quantities(names: ["available"]) { name quantity } }
      }
    }
  }
}""",
    cost=100,
)

_LINE = "id sku quantity currentQuantity unfulfilledQuantity variant { id inventoryItem { id tracked } }"
_REFUND_LINE = "quantity restockType restocked location { id } lineItem { id }"
_SHIPPED_LINE = "quantity lineItem { id }"
_PAGE = "pageInfo { hasNextPage endCursor }"

ORDERS = Document(
    "Orders",
    f"""query Orders($first: Int!, $after: String, $q: String!, $inner: Int!) {{
  orders(first: $first, after: $after, query: $q, sortKey: UPDATED_AT) {{
    {_PAGE}
    nodes {{
      id
      name
      createdAt
      updatedAt
      cancelledAt
      test
      displayFulfillmentStatus
      lineItems(first: $inner) {{ {_PAGE} nodes {{ {_LINE} }} }}
      refunds {{ id refundLineItems(first: $inner) {{ {_PAGE} nodes {{ {_REFUND_LINE} }} }} }}
      fulfillments {{
        id
        status
        createdAt
        fulfillmentLineItems(first: $inner) {{ {_PAGE} nodes {{ {_SHIPPED_LINE} }} }}
      }}
    }}
  }}
}}""",
    cost=150,
)


def _rest(name: str, owner: str, connection: str, fields: str) -> Document:
    """The further pages of a connection inside an order."""
    return Document(
        name,
        f"""query {name}($id: ID!, $after: String, $inner: Int!) {{
  node(id: $id) {{
    ... on {owner} {{ {connection}(first: $inner, after: $after) {{ {_PAGE} nodes {{ {fields} }} }} }}
  }}
}}""",
        cost=20,
    )


ORDER_LINES = _rest("OrderLines", "Order", "lineItems", _LINE)
REFUND_LINES = _rest("RefundLines", "Refund", "refundLineItems", _REFUND_LINE)
SHIPPED_LINES = _rest("ShippedLines", "Fulfillment", "fulfillmentLineItems", _SHIPPED_LINE)

_TO_SHIP_LINE = "id remainingQuantity lineItem { id }"
_TO_SHIP = f"""id
        status
        assignedLocation {{ location {{ id }} }}
        lineItems(first: 50) {{ {_PAGE} nodes {{ {_TO_SHIP_LINE} }} }}"""

TO_SHIP = Document(
    "ToShip",
    f"""query ToShip($id: ID!) {{
  order(id: $id) {{
    id
    cancelledAt
    fulfillments {{
      id
      status
      trackingInfo {{ number }}
      fulfillmentLineItems(first: 100) {{ {_PAGE} nodes {{ {_SHIPPED_LINE} }} }}
    }}
    fulfillmentOrders(first: 20) {{
      {_PAGE}
      nodes {{
        {_TO_SHIP}
      }}
    }}
  }}
}}""",
    cost=60,
)
MORE_TO_SHIP = _rest("MoreToShip", "Order", "fulfillmentOrders", _TO_SHIP)
TO_SHIP_LINES = _rest("ToShipLines", "FulfillmentOrder", "lineItems", _TO_SHIP_LINE)

SHIP = Document(
    "Ship",
    """mutation Ship($f: FulfillmentInput!) {
  fulfillmentCreate(fulfillment: $f) {
    fulfillment { id status }
    userErrors { field message }
  }
}""",
    effect=True,
    cost=12,
)

HOOKS = Document(
    "Hooks",
    f"""query Hooks($after: String) {{
  webhookSubscriptions(first: 100, after: $after) {{ {_PAGE} nodes {{ id topic uri }} }}
}}""",
    cost=20,
)

ADD_HOOK = Document(
    "AddHook",
    """mutation AddHook($topic: WebhookSubscriptionTopic!, $hook: WebhookSubscriptionInput!) {
  webhookSubscriptionCreate(topic: $topic, webhookSubscription: $hook) {
    webhookSubscription { id }
    userErrors { field message }
  }
}""",
    effect=True,
)

DROP_HOOK = Document(
    "DropHook",
    """mutation DropHook($id: ID!) {
  webhookSubscriptionDelete(id: $id) {
    deletedWebhookSubscriptionId
    userErrors { field message }
  }
}""",
    effect=True,
)

KEYED = (SET_AVAILABLE, ACTIVATE)
"""Mutations of stock: Shopify demands an idempotency key of these."""
ALL = (
    SHOP, SET_AVAILABLE, ACTIVATE, LEVELS, VARIANTS, ORDERS, ORDER_LINES, REFUND_LINES, SHIPPED_LINES, TO_SHIP,
    MORE_TO_SHIP, TO_SHIP_LINES, SHIP, HOOKS, ADD_HOOK, DROP_HOOK,
)  # fmt: skip
