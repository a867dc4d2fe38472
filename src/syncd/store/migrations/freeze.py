"""Writes the first revision's SQL from schema.py: `python -m syncd.store.migrations.freeze`.

Only until the first release. After it a change of schema.py comes with a new revision file, and this stays alone.
"""

from __future__ import annotations

from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.engine import Dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from syncd.store.migrations import HERE
from syncd.store.schema import metadata

DIALECTS: tuple[Dialect, ...] = (SQLiteDialect(), PGDialect())  # type: ignore[no-untyped-call]  # untyped there


def statements(dialect: Dialect) -> list[str]:
    """Every CREATE of the schema, in an order in which each finds what it refers to."""
    made = []
    for table in metadata.sorted_tables:
        made.append(_text(CreateTable(table), dialect))
        made += [_text(CreateIndex(index), dialect) for index in sorted(table.indexes, key=lambda i: str(i.name))]
    return made


def _text(element: CreateTable | CreateIndex, dialect: Dialect) -> str:
    lines = str(element.compile(dialect=dialect)).replace("\t", "  ").splitlines()
    return "\n".join(line.rstrip() for line in lines if line.strip())


def main() -> None:
    for dialect in DIALECTS:
        target = HERE / "versions" / f"v0001_first.{dialect.name}.sql"
        target.write_text("\n\n".join(statements(dialect)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
