"""The statements of the SQL recorder, prepared once for a database."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    CTE,
    Select,
    Text,
    bindparam,
    case,
    column,
    delete,
    func,
    insert,
    literal_column,
    null,
    select,
    update,
    values,
)

from ghostfleet.store.database import Prepared, prepare
from ghostfleet.store.dialect import insert_new, upsert
from ghostfleet.store.projections import Change, Final, Mined, Registered, Reopened, Signed, Superseded
from ghostfleet.store.tables import alembic_version, events, log_head, log_meta, snapshots, transactions, wallets


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
            Reopened: (made(_every_attempt("open")), lambda it: {"action": it.key}),
            Superseded: (made(_every_attempt("superseded")), lambda it: {"action": it.key}),
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
        "action": change.key,
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


def _given(**columns: Any) -> CTE:
    """A row of parameters as a table to update from, each with the type of a column: one statement can take many such rows."""
    named = [column(name, like.type) for name, like in columns.items()]
    row = tuple(bindparam(name, type_=like.type) for name, like in columns.items())
    return values(*named, name="given").data([row]).cte("given")


def _word(text: str) -> Any:
    """A constant, which is no parameter."""
    return literal_column(f"'{text}'", Text)


def _mine() -> Any:
    t = transactions.c
    given = _given(
        action=t.action_id,
        tx=t.hash,
        in_block=t.status,
        number=t.block_number,
        block=t.block_hash,
        gas=t.gas_used,
        price=t.gas_price_wei,
    )
    its = t.hash == given.c.tx
    return (
        update(transactions)
        .where(t.action_id == given.c.action)
        .values(
            status=case(
                (~its, _word("superseded")), (t.purpose == _word("cancel"), _word("cancelled")), else_=given.c.in_block
            ),
            block_number=case((its, given.c.number), else_=null()),
            block_hash=case((its, given.c.block), else_=null()),
            gas_used=case((its, given.c.gas), else_=null()),
            gas_price_wei=case((its, given.c.price), else_=null()),
        )
    )


def _finalise() -> Any:
    t = transactions.c
    given = _given(tx=t.hash)
    return update(transactions).where(t.hash == given.c.tx, t.status == _word("mined")).values(status=_word("final"))


def _every_attempt(status: str) -> Any:
    t = transactions.c
    given = _given(action=t.action_id)
    no_block = dict.fromkeys(("block_number", "block_hash", "gas_used", "gas_price_wei"), null())
    return update(transactions).where(t.action_id == given.c.action).values(status=_word(status), **no_block)
