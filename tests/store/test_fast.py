"""Prepared statements run what Core would run, on positional and named drivers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, bindparam, create_engine, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.exc import IntegrityError

from syncd.store.fast import Prepared
from syncd.store.schema import location, metadata


@pytest.fixture
def conn() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    with engine.connect() as opened:
        metadata.create_all(opened)
        yield opened
    engine.dispose()


def upsert(dialect: str) -> Any:
    made = (sqlite if dialect == "sqlite" else postgresql).insert(location)
    return made.on_conflict_do_update(
        index_elements=["id"], set_={"name": made.excluded.name + bindparam("tail", "", required=True)}
    )


add = Prepared(insert(location), "id", "name")
names = Prepared(select(location.c.name).order_by(location.c.id))


def test_rows_are_written_in_one_go(conn: Connection) -> None:
    add.many(conn, [(1, "main"), (2, "annex")])
    assert names.all(conn) == [("main",), ("annex",)]


def test_no_rows_are_no_statement(conn: Connection) -> None:
    add.many(conn, [])
    assert names.all(conn) == []


def test_values_go_where_the_names_say_whatever_the_order_in_the_sql(conn: Connection) -> None:
    add.many(conn, [(1, "main"), (2, "annex")])
    rename = Prepared(
        update(location).where(location.c.id == bindparam("which")).values(name=bindparam("new")), "which", "new"
    )
    assert rename.one(conn, (2, "north")) == 1
    rename.many(conn, [(1, "south"), (3, "nowhere")])
    assert names.all(conn) == [("south",), ("north",)]


def test_constants_of_the_statement_and_in_lists_are_kept(conn: Connection) -> None:
    add.many(conn, [(1, "main"), (2, "annex"), (3, "north")])
    some = Prepared(
        select(location.c.id).where(
            location.c.id.in_([1, 2, 3]), location.c.name != "main", location.c.id > bindparam("x")
        ),
        "x",
    )
    assert some.all(conn, (2,)) == [(3,)]
    Prepared(delete(location).where(location.c.id.in_([1, 3]))).one(conn)
    assert names.all(conn) == [("annex",)]


def test_a_list_of_any_length_is_asked_for_in_few_statements(conn: Connection) -> None:
    add.many(conn, [(number, f"l{number}") for number in range(1, 1301)])
    some = Prepared(
        select(location.c.id)
        .where(location.c.name != bindparam("but"), location.c.id.in_(bindparam("ids", expanding=True)))
        .order_by(location.c.id),
        "but", each="ids",
    )  # fmt: skip
    assert some.of(conn, [], ("l2",)) == []
    assert some.of(conn, [3, 2, 1], ("l2",)) == [(1,), (3,)]
    assert some.of(conn, range(1, 1301), ("l2",)) == [(number,) for number in range(1, 1301) if number != 2]
    assert len(some._compiled) == 2  # 4 and 512


def test_constants_stand_in_the_sql_so_that_a_partial_index_needs_no_new_plan(conn: Connection) -> None:
    add.many(conn, [(1, "it's"), (2, "annex")])
    named = Prepared(
        select(location.c.id).where(location.c.name == "it's", location.c.id < bindparam("x")).limit(7), "x"
    )
    assert named.all(conn, (2,)) == [(1,)]
    sql, _shape = named._for(conn.dialect)
    assert "'it''s'" in sql
    assert sql.count("?") == 1


def test_a_refused_row_is_told_as_core_tells_it(conn: Connection) -> None:
    add.many(conn, [(1, "main")])
    with pytest.raises(IntegrityError):
        add.many(conn, [(1, "again")])
    with pytest.raises(IntegrityError):
        add.one(conn, (1, "again"))


def test_one_parameter_may_occur_twice(conn: Connection) -> None:
    add.many(conn, [(1, "main"), (2, "annex")])
    twice = Prepared(
        select(location.c.id).where((location.c.id == bindparam("x")) | (location.c.id > bindparam("x"))), "x"
    )
    assert twice.all(conn, (1,)) == [(1,), (2,)]


def test_an_upsert_is_made_for_the_dialect(conn: Connection) -> None:
    put = Prepared(upsert, "id", "name", "tail")
    put.many(conn, [(1, "main", "!"), (1, "main", "!")])
    assert names.all(conn) == [("main!",)]


def test_returning_gives_rows(conn: Connection) -> None:
    made = Prepared(insert(location).returning(location.c.id), "name")
    assert made.all(conn, ("main",)) == [(1,)]


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        (postgresql.dialect(), {"which": 7, "new": "n", "id_1": 3}),
        (asyncpg.dialect(), ("n", 7, 3)),
    ],
)
def test_other_drivers_get_their_own_order(dialect: Any, expected: object) -> None:
    rename = Prepared(
        update(location).where(location.c.id == bindparam("which"), location.c.id != 3).values(name=bindparam("new")),
        "which",
        "new",
    )
    _sql, shape = rename._for(dialect)
    assert shape is not None
    assert shape((7, "n")) == expected


def test_a_parameter_without_a_name_or_a_name_without_use_is_refused(conn: Connection) -> None:
    by_id = select(location.c.name).where(location.c.id == bindparam("which"))
    with pytest.raises(ValueError, match="no value is named for which"):
        Prepared(by_id).all(conn)
    with pytest.raises(ValueError, match="named but not used: other"):
        Prepared(by_id, "which", "other").all(conn, (1, 2))
