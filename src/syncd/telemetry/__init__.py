"""What an operator sees: log lines without secrets (`logs`), and metrics with closed labels (`metrics`)."""

from syncd.telemetry.logs import cut, redact, register_secret, register_turning_secret, set_up
from syncd.telemetry.metrics import CONTENT_TYPE, SHOP_STATES, Metrics, call_outcome

__all__ = [
    "CONTENT_TYPE",
    "SHOP_STATES",
    "Metrics",
    "call_outcome",
    "cut",
    "redact",
    "register_secret",
    "register_turning_secret",
    "set_up",
]
