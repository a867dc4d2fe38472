"""Statements compiled once and run as plain driver SQL, for the hot paths.

A `Prepared` is a module-level constant. It takes rows as tuples in the order of its names, so nothing is looked
up by key while it runs; Core's own execution of many rows costs 3-4 times the driver's, of one row 5-10 times.
Values are handed to the driver as they are: only integers, texts and None.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Dialect, Insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ClauseElement

Row = tuple[Any, ...]
Shape = Callable[[Row], Any]
MOST_VALUES = 512


class Prepared:
    """One Core statement as driver SQL, compiled at its first use on each dialect.

    Given a function, it is called with the dialect's name ("sqlite", "postgresql") and returns the statement:
    for `INSERT … ON CONFLICT`, whose construct differs by dialect. Constants inside the statement are kept.
    An insert without `values()` writes the columns named; an update names its columns in `values()`.
    `each` names an expanding parameter, the IN list that `of` fills.
    Raises ValueError at first use for a parameter that is neither named nor a constant, or a name without use.
    """

    def __init__(
        self, statement: ClauseElement | Callable[[str], ClauseElement], *names: str, each: str | None = None
    ) -> None:
        self._statement = statement
        self._names = names
        self._each = each
        self._compiled: dict[tuple[str, str, int], tuple[str, Shape | None]] = {}

    def many(self, conn: Connection, rows: Sequence[Row]) -> None:
        """Run it once for each row, by the driver's executemany. No rows: nothing happens."""
        if not rows:
            return
        sql, shape = self._for(conn.dialect)
        values = list(rows) if shape is None else [shape(row) for row in rows]
        raw: object = conn.connection.dbapi_connection
        if not isinstance(raw, sqlite3.Connection):
            conn.exec_driver_sql(sql, values)
            return
        try:
            raw.executemany(sql, values)
        except sqlite3.Error as error:
            raise _wrapped(conn, sql, error) from error

    def one(self, conn: Connection, row: Row = ()) -> int:
        """Run it once; returns how many rows it changed."""
        sql, shape = self._for(conn.dialect)
        return _run(conn, sql, row if shape is None else shape(row))[1]

    def all(self, conn: Connection, row: Row = ()) -> list[Row]:
        """Run it once and return every row as a plain tuple."""
        sql, shape = self._for(conn.dialect)
        return _run(conn, sql, row if shape is None else shape(row))[0]

    def of(self, conn: Connection, values: Sequence[Any], row: Row = ()) -> list[Row]:
        """Every row for any of the values in its IN list, in as many statements as that takes."""
        found: list[Row] = []
        for start in range(0, len(values), MOST_VALUES):
            some = tuple(values[start : start + MOST_VALUES])
            size = 1 << (len(some) - 1).bit_length()  # few lengths, so that the driver knows the statement
            sql, shape = self._for(conn.dialect, size)
            filled = (*row, *some, *some[-1:] * (size - len(some)))
            found += _run(conn, sql, filled if shape is None else shape(filled))[0]
        return found

    def _for(self, dialect: Dialect, size: int = 0) -> tuple[str, Shape | None]:
        key = (dialect.name, dialect.paramstyle, size)
        found = self._compiled.get(key)
        if found is None:
            found = self._compiled[key] = self._compile(dialect, size)
        return found

    def _compile(self, dialect: Dialect, size: int) -> tuple[str, Shape | None]:
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
        given: dict[str, Any] = dict.fromkeys(self._names)
        if self._each is not None:
            given[self._each] = range(size)
        state = compiled.construct_expanded_state(given)  # constant IN lists and limits
        names = (*self._names, *(f"{self._each}_{number}" for number in range(1, size + 1)))
        constants = {key: value for key, value in state.parameters.items() if key not in names}
        if dialect.paramstyle == "qmark":
            sql, positions = _spelled(state.statement, tuple(state.positiontup or ()), constants)
            return sql, _positional(positions, names, {})
        if compiled.positional:
            return state.statement, _positional(tuple(state.positiontup or ()), names, constants)
        return state.statement, _named(names, constants)

    def _check(self, compiled: SQLCompiler) -> None:
        known = compiled.construct_params(_check=False)
        required = {bind.key for bind in compiled.binds.values() if bind.required}
        if missing := sorted(required - {*self._names, self._each}):
            raise ValueError(f"no value is named for {', '.join(missing)} in: {compiled.string}")
        if unused := sorted(set(self._names) - set(known)):
            raise ValueError(f"named but not used: {', '.join(unused)} in: {compiled.string}")


def _run(conn: Connection, sql: str, values: Any) -> tuple[list[Row], int]:
    """Run driver SQL; the rows it returns, and how many it changed.

    The writer's connection is asked without Core in between; a reader's lives in another thread.
    """
    raw: object = conn.connection.dbapi_connection
    if isinstance(raw, sqlite3.Connection):
        try:
            cursor = raw.execute(sql, values)
            return cursor.fetchall(), cursor.rowcount
        except sqlite3.Error as error:
            raise _wrapped(conn, sql, error) from error
    result = conn.exec_driver_sql(sql, values)
    rows = list(result.cursor.fetchall()) if result.cursor is not None else []
    result.close()
    return rows, result.rowcount


def _wrapped(conn: Connection, sql: str, error: sqlite3.Error) -> BaseException:
    """A driver's error as Core would raise it."""
    return DBAPIError.instance(sql, None, error, sqlite3.Error, dialect=conn.dialect)


def _spelled(sql: str, positions: tuple[str, ...], constants: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Constants as words of the SQL: SQLite plans anew at each run where one of its partial indexes asks for a value
    that is bound.
    """
    first, *parts = sql.split("?")
    if len(parts) != len(positions):
        raise ValueError(f"a question mark that stands for no value in: {sql}")
    words = [_word(constants[name]) if name in constants else "?" for name in positions]
    spelled = first + "".join(word + part for word, part in zip(words, parts, strict=True))
    return spelled, tuple(name for name in positions if name not in constants)


def _word(value: object) -> str:
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"


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
