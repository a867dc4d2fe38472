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
    """query Shop($loc: ID!) {
  shop { id myshopifyDomain }
  location(id: $loc) { id name isActive }
}""",
    cost=3,
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

ALL = (SHOP, SET_AVAILABLE, ACTIVATE, LEVELS, VARIANTS, ORDERS, ORDER_LINES, REFUND_LINES, SHIPPED_LINES)
