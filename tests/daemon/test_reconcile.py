"""The reading loop: what order reads prove is settled beside it, and a full sync ends with every number known."""

from __future__ import annotations

from syncd.sim.trial import Trial, virtual

GOODS = {f"S{number:03d}": 3 for number in range(400)}
UNSETTLED = "SELECT COUNT(*) FROM listing WHERE exposure IS NULL OR seen IS NOT NULL"


@virtual
async def test_one_order_read_settles_every_number_that_was_read_before_it() -> None:
    """A shop that is polled rarely does not stay unproven for as many polls as it has listings."""
    async with Trial.of({"a": {}}, GOODS, shops={"a": {"poll_seconds": 60.0}}) as trial:
        await trial.run(50)
        assert (await trial.rows(UNSETTLED))[0][0] == len(GOODS)
        await trial.run(20)
        assert (await trial.rows(UNSETTLED))[0][0] == 0
        assert trial.wrong() == []
