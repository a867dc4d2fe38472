"""Statements compiled once and run as plain driver SQL, for the hot paths.

A `Prepared` is a module-level constant. It takes rows as tuples in the order of its names, so nothing is looked
up by key while it runs; Core's own execution of many rows costs 3-4 times the driver's. Values are handed to the
driver as they are: only integers, texts and None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, CursorResult, Dialect, Insert
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ClauseElement

Row = tuple[Any, ...]
Shape = Callable[[Row], Any]


class Prepared:
    """One Core statement as driver SQL, compiled at its first use on each dialect.

    Given a function, it is called with the dialect's name ("sqlite", "postgresql") and returns the statement:
    for `INSERT … ON CONFLICT`, whose construct differs by dialect. Constants inside the statement are kept.
    An insert without `values()` writes the columns named; an update names its columns in `values()`.
    Raises ValueError at first use for a parameter that is neither named nor a constant, or a name without use.
    """

    def __init__(self, statement: ClauseElement | Callable[[str], ClauseElement], *names: str) -> None:
        self._statement = statement
        self._names = names
        self._compiled: dict[str, tuple[str, Shape | None]] = {}

    def many(self, conn: Connection, rows: Sequence[Row]) -> None:
        """Run it once for each row, by the driver's executemany. No rows: nothing happens."""
        if not rows:
            return
        sql, shape = self._for(conn.dialect)
        conn.exec_driver_sql(sql, list(rows) if shape is None else [shape(row) for row in rows])

    def one(self, conn: Connection, row: Row = ()) -> CursorResult[Any]:
        """Run it once; the result has `rowcount`, `lastrowid` and the rows of a RETURNING."""
        sql, shape = self._for(conn.dialect)
        return conn.exec_driver_sql(sql, row if shape is None else shape(row))

    def all(self, conn: Connection, row: Row = ()) -> list[Row]:
        """Run it once and return every row as a plain tuple."""
        result = self.one(conn, row)
        rows = result.cursor.fetchall() if result.cursor is not None else []
        result.close()
        return list(rows)

    def _for(self, dialect: Dialect) -> tuple[str, Shape | None]:
        key = dialect.name + dialect.paramstyle
        found = self._compiled.get(key)
        if found is None:
            found = self._compiled[key] = self._compile(dialect)
        return found

    def _compile(self, dialect: Dialect) -> tuple[str, Shape | None]:
        statement = self._statement if isinstance(self._statement, ClauseElement) else self._statement(dialect.name)
        plain_insert = isinstance(statement, Insert) and statement.select is None
        compiled = statement.compile(
            dialect=dialect,
            column_keys=list(self._names) if plain_insert else None,
            for_executemany=True,  # no RETURNING that nobody asked for
        )
        if not isinstance(compiled, SQLCompiler):
            raise ValueError(f"not a statement with rows: {statement}")
        self._check(compiled)
        state = compiled.construct_expanded_state(dict.fromkeys(self._names))  # constant IN lists and limits
        constants = {key: value for key, value in state.parameters.items() if key not in self._names}
        if compiled.positional:
            return state.statement, _positional(tuple(state.positiontup or ()), self._names, constants)
        return state.statement, _named(self._names, constants)

    def _check(self, compiled: SQLCompiler) -> None:
        known = compiled.construct_params(_check=False)
        required = {bind.key for bind in compiled.binds.values() if bind.required}
        if missing := sorted(required - set(self._names)):
            raise ValueError(f"no value is named for {', '.join(missing)} in: {compiled.string}")
        if unused := sorted(set(self._names) - set(known)):
            raise ValueError(f"named but not used: {', '.join(unused)} in: {compiled.string}")


def _positional(positions: tuple[str, ...], names: tuple[str, ...], constants: dict[str, Any]) -> Shape | None:
    """How a row becomes the driver's positions; None if it already is in their order."""
    if positions == names:
        return None
    order = [*names, *constants]
    tail = tuple(constants.values())
    wanted = [order.index(name) for name in positions]
    if len(wanted) == 1:
        single = wanted[0]
        return lambda row: ((row + tail)[single],)
    pick = itemgetter(*wanted) if wanted else (lambda _row: ())
    if not tail:
        return pick
    return lambda row: pick(row + tail)


def _named(names: tuple[str, ...], constants: dict[str, Any]) -> Shape:
    return lambda row: {**constants, **dict(zip(names, row, strict=True))}
