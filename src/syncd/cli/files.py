"""Files a person names: read whole, written whole or not at all; `-` is stdin or stdout."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import click

from syncd.cli.refusal import Refused
from syncd.cli.starting import Here

DASH = Path("-")
FILE_IN = click.Path(dir_okay=False, allow_dash=True, path_type=Path)
FILE_OUT = click.Path(dir_okay=False, allow_dash=True, path_type=Path)


def content(path: Path) -> bytes:
    """The bytes of a file. Raises Refused."""
    try:
        return sys.stdin.buffer.read() if path == DASH else path.read_bytes()
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from None


def save(here: Here, path: Path, raw: bytes, rows: int) -> None:
    """Put an export where it was asked for; an older file is replaced at once. Raises Refused."""
    if path == DASH:
        sys.stdout.buffer.write(raw)
        return
    try:
        _replace(path, raw)
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from None
    here.screen.answer({"file": str(path), "rows": rows}, f"{rows} rows written to {path}")


def _replace(path: Path, raw: bytes) -> None:
    descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(raw)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def refuse_dash_with_json(here: Here, path: Path) -> None:
    """stdout holds one thing: the file or the document."""
    if path == DASH and here.screen.as_json:
        raise click.UsageError("--json needs a file: stdout cannot hold both")
