"""What the admin API takes and gives. Unknown keys are refused; numbers are numbers, never texts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StrictBool, StrictInt, model_validator

from syncd.core.matching import Match
from syncd.daemon.desk_holds import Given
from syncd.model import ListingState, to_us
from syncd.sdk.channel import Carrier

MOST_ITEMS = 200_000
Code = Annotated[str, Field(min_length=1, max_length=512)]
Note = Annotated[str, Field(max_length=512)]


class Body(BaseModel):
    """Base of what is sent to us."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Error(BaseModel):
    """Why a request was refused, in a sentence with the way out."""

    error: str
    where: str | None = None
    mistakes: list[dict[str, str]] | None = None


class Page(BaseModel):
    """Some rows, and where the next ones begin; null at the end."""

    items: list[dict[str, Any]]
    next: int | None = None


class Changes(BaseModel):
    """What a change did, or would do: each change, what was left out and why."""

    changes: list[dict[str, Any]]
    applied: bool
    skipped: list[dict[str, Any]] = []
    notes: list[str] = []
    braked: list[str] = []


class Proposals(Changes):
    """What a shop lists and which SKU each listing seems to be."""

    proposals: list[dict[str, Any]] = []


class DryRun(BaseModel):
    """What every listing would show that shows something else; `more` where there are too many for one answer.

    `listings`: how many were compared.
    """

    changes: list[dict[str, Any]]
    more: bool = False
    listings: int = 0


class Answer(BaseModel):
    """Plain facts."""

    model_config = ConfigDict(extra="allow")


class SkuIn(Body):
    code: Code
    name: str | None = Field(None, max_length=512)
    parts: dict[str, StrictInt] | None = None


class SkusIn(Body):
    items: list[SkuIn] = Field(min_length=1, max_length=MOST_ITEMS)


class NumberIn(Body):
    sku: Code
    location: str | None = None
    number: StrictInt = Field(ge=0)


class CountIn(NumberIn):
    at: AwareDatetime | None = None

    @property
    def at_us(self) -> int | None:
        return None if self.at is None else to_us(self.at)


class ByIn(Body):
    sku: Code
    location: str | None = None
    by: StrictInt


class StockSet(Body):
    items: list[NumberIn] = Field(min_length=1, max_length=MOST_ITEMS)
    note: Note = ""


class StockCount(Body):
    items: list[CountIn] = Field(min_length=1, max_length=MOST_ITEMS)
    note: Note = ""


class StockAdjust(Body):
    items: list[ByIn] = Field(min_length=1, max_length=MOST_ITEMS)
    note: Note = ""
    key: str | None = Field(None, min_length=1, max_length=128)


class StockOpen(Body):
    from_shop: str | None = None
    sum_shops: list[str] | None = None
    items: list[NumberIn] | None = Field(None, min_length=1, max_length=MOST_ITEMS)
    preview: StrictBool = False
    note: Note = ""

    @model_validator(mode="after")
    def _one_source(self) -> StockOpen:
        if sum(one is not None for one in (self.from_shop, self.sum_shops, self.items)) != 1:
            raise ValueError("give exactly one of from_shop, sum_shops and items")
        return self


class RuleIn(Body):
    """A step of the chain; policies have routes of their own."""

    rule: Literal["hold_back", "share", "floor", "cap"]
    shop: str | None = None
    sku: str | None = None
    value: StrictInt | None


class RulesIn(Body):
    items: list[RuleIn] = Field(min_length=1, max_length=MOST_ITEMS)


class PolicyIn(Body):
    """No SKU: for all. What is left out stays as it is; null (of a policy also "none") takes it away."""

    sku: Code | None = None
    policy: str | None = Field(None, min_length=1, max_length=64)
    sale_from: AwareDatetime | None = None
    sale_until: AwareDatetime | None = None

    @property
    def word(self) -> str:
        """The policy to set, "none" to take it away, "" to leave it."""
        given = self.policy or "none"
        return given if "policy" in self.model_fields_set else ""

    @property
    def sale(self) -> tuple[int | None, int | None] | None:
        """Start and end in microseconds; None where nothing is said."""
        if not self.model_fields_set & {"sale_from", "sale_until"}:
            return None
        begins, ends = self.sale_from, self.sale_until
        return None if begins is None else to_us(begins), None if ends is None else to_us(ends)


class PoliciesIn(Body):
    items: list[PolicyIn] = Field(min_length=1, max_length=MOST_ITEMS)


class Policies(Page):
    """How SKUs are shown; what holds where nothing is said; under which conditions escrow never oversells."""

    usual: dict[str, Any]
    conditions: list[str]


class ListingIn(Body):
    key: Code
    sku: Code | None = None
    pack: StrictInt | None = None
    state: ListingState | None = None
    sync: StrictBool | None = None
    name: str | None = Field(None, max_length=512)

    @property
    def unmap(self) -> bool:
        """Null said on purpose takes the SKU away; a missing one leaves it."""
        return self.sku is None and "sku" in self.model_fields_set


class ListingsIn(Body):
    shop: str
    items: list[ListingIn] = Field(min_length=1, max_length=MOST_ITEMS)
    preview: StrictBool = False
    create_skus: StrictBool = False


class FetchIn(Body):
    shop: str
    preview: StrictBool = True
    accept: frozenset[Match] = frozenset()


class OptionsIn(Body):
    shop: str
    listing: Code
    options: dict[Annotated[str, Field(min_length=1, max_length=64)], Annotated[str, Field(max_length=512)]]


class CloseIn(Body):
    note: Note = ""


class RebookIn(Body):
    shop: str
    numbers: list[str] = Field(min_length=1, max_length=10_000)
    preview: StrictBool = True


class ParcelIn(Body):
    shop: str
    order: Code
    carrier: Carrier
    carrier_name: str = Field("", max_length=120)
    tracking: str = Field("", max_length=120)
    shipped_at: AwareDatetime | None = None
    lines: dict[str, StrictInt | None] = {}


class ShipmentsIn(Body):
    items: list[ParcelIn] = Field(min_length=1, max_length=MOST_ITEMS)
    preview: StrictBool = True


class HoldIn(Body):
    shop: str
    hold: Code
    listing: Code
    units: StrictInt
    note: Note = ""


class WonIn(Body):
    units: StrictInt = 1
    note: Note = ""


class ReleaseIn(Body):
    given: Given = Given.OFFERED
    note: Note = ""


class ReturnIn(Body):
    shop: str
    order: Code
    lines: dict[str, StrictInt | None] = {}


class ReturnsIn(Body):
    items: list[ReturnIn] = Field(min_length=1, max_length=MOST_ITEMS)
    preview: StrictBool = True


class SyncIn(Body):
    shop: str | None = None
    full: StrictBool = False
    dry_run: StrictBool = False


class ApproveIn(Body):
    shop: str
    listing: str | None = None


class SignInAt(BaseModel):
    """Where a person signs in, and what to bring back from there."""

    shop: str
    address: str
    bring_back: str


class SignInIn(Body):
    brought_back: str = Field(min_length=1, max_length=16_384, repr=False)


class BackupIn(Body):
    path: str = Field(min_length=1, max_length=4096)


class Made(BaseModel):
    """What was made."""

    path: str
    bytes: int


class Health(BaseModel):
    """Whether the daemon can do its work, and what of it is late."""

    status: Literal["ok", "late", "not ready"]
    late: list[str]
    shops: dict[str, str] = {}
    database_seconds: float = 0.0
    at: datetime
