"""Where in a TOML file a key stands: tomllib tells no lines, so the text is searched."""

from __future__ import annotations

import re

HEADER = re.compile(r"^\s*\[\[?\s*(?P<path>[^\]]+?)\s*\]")
ASSIGNMENT = re.compile(r"^\s*(?P<path>(?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*[A-Za-z0-9_-]+)*)\s*=")
POSITION = re.compile(r"\(at line (\d+), column (\d+)\)")


def line_of(text: str, path: tuple[object, ...]) -> int | None:
    """The line of a key or table, or of the nearest table around it; None for the top of the file."""
    places = _places(text)
    for length in range(len(path), 0, -1):
        line = places.get(tuple(str(part) for part in path[:length]))
        if line is not None:
            return line
    return None


def _places(text: str) -> dict[tuple[str, ...], int]:
    table: tuple[str, ...] = ()
    places: dict[tuple[str, ...], int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if header := HEADER.match(line):
            table = _parts(header["path"])
            places.setdefault(table, number)
        elif assignment := ASSIGNMENT.match(line):
            places.setdefault(table + _parts(assignment["path"]), number)
    return places


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))


def position_in(message: str) -> tuple[str, int | None, int | None]:
    """A decoder's message without its position, and the line and column it names."""
    found = POSITION.search(message)
    if found is None:
        return message.replace(" (at end of document)", " at the end of the file"), None, None
    return POSITION.sub("", message).strip(), int(found[1]), int(found[2])
