"""What a shop in memory can do: the `[memory]` table of its shop file."""

from __future__ import annotations

from pydantic import Field, SecretStr

from syncd.sdk.channel import Form, OrderFilter, Restock
from syncd.sdk.settings import ChannelSettings, Secret


class MemorySettings(ChannelSettings):
    """The `[memory]` table: what the shop in memory can do."""

    market: str = Field("", description="Which market; the shop's own name if not set.")
    key: Secret = Field(SecretStr("memory-key-0001"), description="Stands for an API key.")
    forms: tuple[Form, ...] = Field((Form.ABSOLUTE,), description="Forms its one write route takes.")
    max_rows: int = Field(100, description="Rows a write call takes.")
    read_rows: int = Field(100, description="Listings a read call takes.")
    page_size: int = Field(50, description="Orders a page holds.")
    per_second: float = Field(0.0, description="Calls a second; 0 for no limit.")
    burst: float = Field(1.0, description="Calls at once.")
    reads_stock: bool = Field(True, description="Whether stock can be read.")
    visibility_seconds: float = Field(0.0, description="Declared longest until an order shows.")
    poll_seconds: float = Field(60.0, description="Declared poll interval.")
    restocks: Restock = Field(Restock.YES, description="Whether cancelled units go back on sale: yes, no, unknown.")
    tells_restocked: bool = Field(True, description="Whether a line says how many were restocked.")
    order_filter: OrderFilter = Field(OrderFilter.MODIFIED, description="created or modified.")
    later: bool = Field(False, description="Whether write results come later.")
    later_seconds: float = Field(30.0, description="How long the mall takes for such a write.")
    key_life_seconds: float = Field(0.0, description="How long a write's key is remembered.")
    dead_after_seconds: float = Field(60.0, description="Longest a given-up write may still take effect.")
    results_within_seconds: float = Field(0.0, description="Longest a result takes; 0: later and dead_after.")
    takes_shipments: bool = Field(True, description="Whether shipments can be reported.")
    shows_shipments: bool = Field(True, description="Whether orders show what was shipped.")
    shipment_rows: int = Field(10, description="Shipments a call takes.")
    max_quantity: int = Field(99_999, description="Largest number a listing shows.")
