"""The tables of the log. `events` is the truth, with `archives` and `anchors` where a part of it has moved; `log_head` guards
its end; the others are caches or say who wrote it.

Migrations make them (migrations/versions); a test compares the two.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    column,
    table,
)

metadata = MetaData()

Whole = BigInteger().with_variant(Integer, "sqlite")
"""64 bits; SQLite's INTEGER PRIMARY KEY is the row's own address."""

events = Table(
    "events",
    metadata,
    Column("position", Whole, primary_key=True, autoincrement=False),
    Column("stream", Text, nullable=False),
    Column("version", Whole, nullable=False),
    Column("type", Text, nullable=False),
    Column("type_version", Integer, nullable=False),
    Column("critical", Integer, nullable=False),
    Column("time_us", Whole, nullable=False),
    Column("correlation", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    UniqueConstraint("stream", "version", name="events_stream_version"),
)
Index("events_type", events.c.type, events.c.position)
Index(
    "events_correlation",
    events.c.correlation,
    events.c.position,
    sqlite_where=events.c.correlation != "",
    postgresql_where=events.c.correlation != "",
)

log_head = Table(
    "log_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("position", Whole, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("projected", Whole, nullable=False),
)
"""One row, id 1: where the log ends, and up to where the read models follow it."""

wallets = Table(
    "wallets",
    metadata,
    Column("wallet", Text, primary_key=True),
    Column("address", LargeBinary, nullable=False),
)

transactions = Table(
    "transactions",
    metadata,
    Column("hash", LargeBinary, primary_key=True),
    Column("wallet", Text, nullable=False),
    Column("address", LargeBinary),
    Column("action_id", Text, nullable=False),
    Column("nonce", Whole, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("signed_position", Whole, nullable=False, unique=True),
    Column("signed_us", Whole, nullable=False),
    Column("status", Text, nullable=False),
    Column("block_number", Whole),
    Column("block_hash", LargeBinary),
    Column("gas_used", Whole),
    Column("gas_price_wei", Text),
)
"""`gas_price_wei` is text: wei need not fit 64 bits."""
Index("transactions_action", transactions.c.action_id)
Index("transactions_wallet", transactions.c.wallet, transactions.c.signed_position)

snapshots = Table(
    "snapshots",
    metadata,
    Column("position", Whole, primary_key=True, autoincrement=False),
    Column("fold_version", Integer, primary_key=True, autoincrement=False),
    Column("head_hash", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("state", LargeBinary, nullable=False),
)

archives = Table(
    "archives",
    metadata,
    Column("last_position", Whole, primary_key=True, autoincrement=False),
    Column("first_position", Whole, nullable=False),
    Column("last_hash", LargeBinary, nullable=False),
    Column("first_us", Whole, nullable=False),
    Column("last_us", Whole, nullable=False),
    Column("file", Text, nullable=False),
    Column("file_sha256", LargeBinary, nullable=False),
    Column("versions", Text, nullable=False),
    Column("archived_us", Whole, nullable=False),
)
"""A row for each archive file. `last_hash` is what the first row after it continues; `versions` is JSON, the version of every
stream at its end; `first_us` and `last_us` are the least and the greatest time in it, which need not be in order."""

anchors = Table(
    "anchors",
    metadata,
    Column("position", Whole, primary_key=True, autoincrement=False),
    Column("fold_version", Integer, primary_key=True, autoincrement=False),
    Column("head_hash", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("state", LargeBinary, nullable=False),
)
"""The state at the end of the newest archive, as snapshots are kept; but these are needed, and no rotation drops them."""

log_meta = Table(
    "log_meta",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
"""`level`: of the schema; `min_level`: what the data needs at least; `release`: of the newest level that wrote."""

alembic_version = table("alembic_version", column("version_num"))
"""Alembic's own: the migration that the data is at."""
