"""What every route asks of a request: the context it serves, and who asks."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header, Query, Request

from syncd.web.context import WebContext

MOST_ROWS = 1000


async def _context(request: Request) -> WebContext:
    context = request.app.state.context
    assert isinstance(context, WebContext)
    return context


async def _who(syncd_user: Annotated[str | None, Header(max_length=64)] = None) -> str:
    """The name a client gives for the audit trail. The token alone decides what it may do."""
    name = "".join(char for char in syncd_user or "" if char.isprintable())
    return f"api:{name}" if name else "api"


Asked = Annotated[WebContext, Depends(_context)]
Who = Annotated[str, Depends(_who)]
Limit = Annotated[int, Query(ge=1, le=MOST_ROWS)]
After = Annotated[int | None, Query(ge=0)]
