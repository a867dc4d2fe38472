"""R1 at the moment of a write: fit it into the rights that are left, or wait (`core/escrow.py`).

fits ........................ goes as planned
a raise by a change ......... goes as far as the rights reach; compare-and-set and relative forms
an absolute raise ........... goes as far as the rights reach, if that is more than the page shows
an absolute lowering ........ drained: a write of 0 costs nothing; the number follows once that is proven
"""

from __future__ import annotations

from dataclasses import replace

from syncd.core.escrow import cost_of
from syncd.core.fence import Shown
from syncd.core.planner import Need, Plan
from syncd.sdk.capabilities import Form
from syncd.sdk.channel import StockWrite


def fit(plan: Plan, target: int, shown: Shown, left: int) -> Plan | Need:
    """The write that may go while its listing may be given `left` more units; Need.RIGHTS where none may.

    Only a drain empties a page, and only one that must show less: what it held comes back at the barrier.
    """
    write = plan.write
    if cost_of(write.form, write.quantity, write.expected) <= left:
        return plan
    believed = shown.believed or 0
    if write.form is Form.ABSOLUTE:
        if target < believed:
            return Plan(StockWrite(write.listing, Form.ABSOLUTE, 0))
        if left <= believed:
            return Need.RIGHTS
        return replace(plan, write=replace(write, quantity=left), delta=left - believed)
    if left <= 0:
        return Need.RIGHTS
    before = write.expected if write.form is Form.COMPARE_AND_SET and write.expected is not None else 0
    return replace(plan, write=replace(write, quantity=before + left), delta=left)
