"""The log: structlog and the standard library through one handler that knows every secret.

Events are past-tense snake words (`stock_written`), data stands in keys, `shop` and the like are bound by
`structlog.contextvars`. Redaction sits at the handler, so a line of any library passes it, tracebacks too.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, TextIO
from urllib.parse import quote, quote_plus

import structlog
from pydantic import SecretBytes, SecretStr
from structlog.typing import EventDict, Processor, WrappedLogger

from syncd.clock import Clock, SystemClock

MASK = "***"
LONGEST_VALUE = 256
LONGEST_TRACEBACK = 8192
LONGEST_COLLECTION = 64
SHORTEST_SECRET = 4  # masking less would shred every line
SHORTEST_SECRET_LINE = 16  # of a key in several lines
SECRET_WORDS = frozenset({"authorization", "token", "password", "passwd", "secret", "key", "apikey", "cookie"})
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")  # of snake, kebab and camel case
QUIET = (
    "uvicorn", "uvicorn.error", "uvicorn.access", "asyncssh", "httpx", "httpcore", "sqlalchemy", "alembic", "aiosqlite",
)  # fmt: skip

KEPT_TURNS = 4

_secrets: tuple[str, ...] = ()
_lasting: frozenset[str] = frozenset()
_turning: dict[str, tuple[str, ...]] = {}


def register_secret(value: SecretStr | str) -> None:
    """Mask this value, and its quoted, base64 and JSON forms, in every line from now on.

    Shorter than 4 characters is not masked. Of a key in several lines each long line is masked too.
    """
    global _lasting  # one handler, one process: a secret is secret everywhere
    _lasting |= _shown_as(value)
    _sort_out()


def register_turning_secret(place: str, value: SecretStr | str) -> None:
    """Mask a secret that is replaced again and again, such as a token: only the newest few of a place are kept."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    known = _turning.get(place, ())
    if text not in known:
        _turning[place] = (*known, text)[-KEPT_TURNS:]
        _sort_out()


def _sort_out() -> None:
    """Longest first: a secret that begins like another must not leave its tail."""
    global _secrets
    turning = (form for place in _turning.values() for text in place for form in _shown_as(text))
    _secrets = tuple(sorted({*_lasting, *turning}, key=lambda form: (-len(form), form)))


def _shown_as(value: SecretStr | str) -> set[str]:
    """Every form in which a secret may stand in a line."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    lines = [line.strip() for line in text.splitlines()] if "\n" in text else []
    forms = {form for line in lines if len(line) >= SHORTEST_SECRET_LINE for form in _forms(line)}
    if len(text) >= SHORTEST_SECRET:
        forms |= _forms(text)
    return forms


def _forms(text: str) -> set[str]:
    raw = text.encode()
    return {
        text,
        quote(text, safe=""),
        quote_plus(text),
        base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode(),
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
        repr(text)[1:-1],
    }


def redact(text: str) -> str:
    """A text with every registered secret masked."""
    for secret in _secrets:
        if secret in text:
            text = text.replace(secret, MASK)
    return text


def cut(text: str, longest: int = LONGEST_VALUE) -> str:
    """A text of at most `longest` characters."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def clean_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask secrets and cut values of one line. Redacts before it cuts: half a secret is one too."""
    return {key: _clean_traceback(value) if key == "exception" else _clean(key, value) for key, value in event.items()}


def _clean(key: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, SecretStr | SecretBytes) or _is_secret_name(key):
        return MASK
    if isinstance(value, str):
        return cut(redact(value))
    if isinstance(value, Mapping):
        return {redact(str(k)): _clean(str(k), v) for k, v in list(value.items())[:LONGEST_COLLECTION]}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean("", item) for item in list(value)[:LONGEST_COLLECTION]]
    return cut(redact(str(value)))


def _is_secret_name(key: str) -> bool:
    return not SECRET_WORDS.isdisjoint(word.lower() for word in WORD.findall(key))


def _clean_traceback(value: Any) -> str:
    text = redact(str(value))
    return text if len(text) <= LONGEST_TRACEBACK else "…" + text[-LONGEST_TRACEBACK:]  # the end names the error


class RedactingFormatter(structlog.stdlib.ProcessorFormatter):
    """Renders a record, and masks once more: whatever a renderer made of a value is still only text."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def set_up(
    level: str = "info",
    format: str = "auto",
    *,
    stream: TextIO | None = None,
    clock: Clock | None = None,
) -> None:
    """Send all logging of the process to one stream (stderr), at a level, as json or console lines.

    `auto` is console on a terminal, otherwise json. May be called again; the last call holds.
    """
    out = stream if stream is not None else sys.stderr
    console = format == "console" or (format == "auto" and out.isatty())
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        _stamp(clock or SystemClock()),
    ]
    handler = logging.StreamHandler(out)
    handler.setFormatter(RedactingFormatter(foreign_pre_chain=before, processors=_after(console, out.isatty())))
    _replace_handler(handler, level)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *before,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _after(console: bool, colors: bool) -> list[Processor]:
    render: Processor = structlog.processors.JSONRenderer(ensure_ascii=False)
    if console:
        render = structlog.dev.ConsoleRenderer(colors=colors, event_key="event", timestamp_key="time")
    return [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        clean_line,
        render,
    ]


def _stamp(clock: Clock) -> Processor:
    def stamp(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {"time": clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z"), **event}

    return stamp


def _replace_handler(handler: logging.Handler, level: str) -> None:
    root = logging.getLogger()
    for old in list(root.handlers):
        if isinstance(old.formatter, RedactingFormatter):
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in QUIET:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(max(logging.WARNING, root.level))
