"""The kinds of metrics, with label sets that are found again at once."""

from __future__ import annotations

from typing import Any, Self

import prometheus_client
from prometheus_client.metrics import MetricWrapperBase


class _Known(MetricWrapperBase):
    """A metric whose label sets, once made, cost one look to find: the library checks, spells and locks each time."""

    def labels(self, *labelvalues: Any, **labelkwargs: Any) -> Self:
        if labelvalues and not labelkwargs and self._labelnames and not self._labelvalues:
            known: Any = self._metrics.get(labelvalues)
            if known is not None:
                return known  # type: ignore[no-any-return]  # made by this class
        return super().labels(*labelvalues, **labelkwargs)


class Counter(_Known, prometheus_client.Counter):
    """A number that only grows."""


class Gauge(_Known, prometheus_client.Gauge):
    """A number as it is now."""


class Histogram(_Known, prometheus_client.Histogram):
    """How often a number fell into each of its ranges."""
