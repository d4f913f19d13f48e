"""Archives: which events were moved to which file, and the state at the end of the newest one."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

LEAST_LEVEL = 1
"""A log with these tables empty is one that release 0.1.0 reads and writes; `db archive` is what raises `min_level`."""

WHOLE = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "archives",
        sa.Column("last_position", WHOLE, primary_key=True, autoincrement=False),
        sa.Column("first_position", WHOLE, nullable=False),
        sa.Column("last_hash", sa.LargeBinary, nullable=False),
        sa.Column("first_us", WHOLE, nullable=False),
        sa.Column("last_us", WHOLE, nullable=False),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("file_sha256", sa.LargeBinary, nullable=False),
        sa.Column("versions", sa.Text, nullable=False),
        sa.Column("archived_us", WHOLE, nullable=False),
    )
    op.create_table(
        "anchors",
        sa.Column("position", WHOLE, primary_key=True, autoincrement=False),
        sa.Column("fold_version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("head_hash", sa.LargeBinary, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
    )
