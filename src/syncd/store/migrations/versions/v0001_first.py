"""The first schema, as frozen SQL beside this file: one statement a block, blocks divided by an empty line."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    name = op.get_bind().dialect.name
    frozen = Path(__file__).with_name(f"v0001_first.{name}.sql")
    for statement in frozen.read_text(encoding="utf-8").strip().split("\n\n"):
        op.get_bind().exec_driver_sql(statement)
