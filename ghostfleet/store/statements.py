"""The statements of the SQL recorder, prepared once for a database."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Select, bindparam, case, delete, func, insert, null, select, update

from ghostfleet.store.database import Prepared, prepare
from ghostfleet.store.dialect import insert_new, upsert
from ghostfleet.store.projections import Change, Final, Mined, Registered, Reopened, Signed, Superseded
from ghostfleet.store.tables import alembic_version, events, log_head, log_meta, snapshots, transactions, wallets

NO_BLOCK = {"block_number": None, "block_hash": None, "gas_used": None, "gas_price_wei": None}


class Statements:
    """Every statement with a fixed text."""

    def __init__(self, dialect: str) -> None:
        def made(statement: Any) -> Prepared:
            return prepare(dialect, statement)

        self.meta = made(select(log_meta.c.key, log_meta.c.value))
        self.revision = made(select(alembic_version.c.version_num))
        self.append = made(insert(events))
        assert self.append.names == tuple(column.name for column in events.columns), "rows go in as they are"
        self.head = made(select(events.c.position, events.c.hash).order_by(events.c.position.desc()).limit(1))
        self.stated_head = made(select(log_head.c.id, log_head.c.position, log_head.c.hash, log_head.c.projected))
        self.set_head = made(
            update(log_head)
            .where(log_head.c.id == 1)
            .values(position=bindparam("position"), hash=bindparam("hash"), projected=bindparam("projected"))
        )
        self.set_projected = made(update(log_head).where(log_head.c.id == 1).values(projected=bindparam("projected")))
        self.versions = made(
            select(events.c.stream, func.max(events.c.version), func.count()).group_by(events.c.stream)
        )
        self.page = made(
            select(events)
            .where(events.c.position > bindparam("after"), events.c.position <= bindparam("until"))
            .order_by(events.c.position)
            .limit(bindparam("count"))
        )
        self.transaction = made(select(transactions).where(transactions.c.hash == bindparam("hash")))
        self.addresses = made(select(wallets.c.wallet, wallets.c.address))
        self.transaction_count = made(select(func.count()).select_from(transactions))
        self.forget = [made(delete(transactions)), made(delete(wallets))]
        self.put_snapshot = made(insert_new(dialect, snapshots))
        self.drop_snapshot = made(delete(snapshots).where(snapshots.c.position == bindparam("at")))
        self.snapshot_positions = made(
            select(snapshots.c.position, snapshots.c.fold_version).order_by(snapshots.c.position.desc())
        )
        self.snapshots = made(
            select(snapshots)
            .where(snapshots.c.fold_version == bindparam("fold"))
            .order_by(snapshots.c.position.desc())
            .limit(bindparam("count"))
        )
        self.every_snapshot = made(select(snapshots).order_by(snapshots.c.position))
        self._dialect = dialect
        self._changes: dict[type[Change], tuple[Prepared, Callable[[Any], dict[str, Any]]]] = {
            Registered: (made(upsert(dialect, wallets, "wallet")), _registered),
            Signed: (made(_insert_attempt(dialect)), _signed),
            Mined: (made(_mine()), _mined),
            Final: (made(_finalise()), lambda it: {"tx": it.hash}),
            Reopened: (made(_every_attempt("open")), lambda it: {"key": it.key}),
            Superseded: (made(_every_attempt("superseded")), lambda it: {"key": it.key}),
        }

    def change(self, kind: type[Change], changes: list[Change]) -> tuple[Prepared, list[tuple[Any, ...]]]:
        """The statement of this kind of change, with a row for each."""
        statement, params = self._changes[kind]
        return statement, [statement.row(**params(it)) for it in changes]

    def select(self, statement: Select[Any]) -> Prepared:
        """A select with a text of its own."""
        return prepare(self._dialect, statement)


def _registered(change: Registered) -> dict[str, Any]:
    return {"wallet": change.key, "address": change.address}


def _signed(change: Signed) -> dict[str, Any]:
    return {
        "hash": change.hash,
        "wallet": change.wallet,
        "action_id": change.key,
        "nonce": change.nonce,
        "attempt": change.attempt,
        "purpose": change.purpose,
        "signed_position": change.signed_position,
        "signed_us": change.signed_us,
        "of_wallet": change.wallet,
    }


def _mined(change: Mined) -> dict[str, Any]:
    return {
        "key": change.key,
        "tx": change.hash,
        "in_block": "mined" if change.success else "reverted",
        "number": change.block_number,
        "block": change.block_hash,
        "gas": change.gas_used,
        "price": str(change.gas_price_wei),
    }


def _insert_attempt(dialect: str) -> Any:
    address = select(wallets.c.address).where(wallets.c.wallet == bindparam("of_wallet")).scalar_subquery()
    named = ("hash", "wallet", "action_id", "nonce", "attempt", "purpose", "signed_position", "signed_us")
    return insert_new(
        dialect, transactions, address=address, status="open", **{name: bindparam(name) for name in named}
    )


def _mine() -> Any:
    t = transactions.c
    its = t.hash == bindparam("tx")
    return (
        update(transactions)
        .where(t.action_id == bindparam("key"))
        .values(
            status=case(
                (~its, "superseded"),
                (t.purpose == "cancel", "cancelled"),
                else_=bindparam("in_block", type_=t.status.type),
            ),
            block_number=case((its, bindparam("number", type_=t.block_number.type)), else_=null()),
            block_hash=case((its, bindparam("block", type_=t.block_hash.type)), else_=null()),
            gas_used=case((its, bindparam("gas", type_=t.gas_used.type)), else_=null()),
            gas_price_wei=case((its, bindparam("price", type_=t.gas_price_wei.type)), else_=null()),
        )
    )


def _finalise() -> Any:
    t = transactions.c
    return update(transactions).where(t.hash == bindparam("tx"), t.status == "mined").values(status="final")


def _every_attempt(status: str) -> Any:
    return update(transactions).where(transactions.c.action_id == bindparam("key")).values(status=status, **NO_BLOCK)
