"""How do plans and ends of operations read? Tables with sums, what the tax takes, and whether the chain says the same. Pure,
but for printing."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ghostfleet.cli.output import print_line, print_table
from ghostfleet.config.loaded import Loaded
from ghostfleet.domain.amounts import BPS, decimal_text
from ghostfleet.domain.operation import NATIVE
from ghostfleet.errors import BadInput
from ghostfleet.keys.addresses import checksummed, parse_address
from ghostfleet.plugins.api import Token

MAX_ROWS_SHOWN = 200
"""Rows of a table on a terminal; --json has all."""


class Shown(msgspec.Struct, frozen=True):
    """A table, and sentences below it."""

    columns: tuple[str, ...]
    rows: list[list[str]]
    notes: list[str]


def print_shown(shown: Shown, *, to_stderr: bool) -> None:
    print_table(shown.columns, shown.rows[:MAX_ROWS_SHOWN])
    if len(shown.rows) > MAX_ROWS_SHOWN:
        print_line(f"... and {len(shown.rows) - MAX_ROWS_SHOWN} more; --json has all of them")
    for note in shown.notes:
        print_line(note)


def text_of(asset: str, amount: int, tokens: Mapping[str, Token]) -> str:
    """An amount with its name."""
    if asset == NATIVE:
        return f"{decimal_text(amount)} ETH"
    token = tokens.get(asset)
    return f"{decimal_text(amount, token.decimals if token is not None else 18)} {asset}"


def texts(amounts: Mapping[str, Any], tokens: Mapping[str, Token]) -> str:
    """Several amounts, those that are nothing left out."""
    return (
        ", ".join(text_of(asset, int(amount), tokens) for asset, amount in amounts.items() if int(amount)) or "nothing"
    )


def targets(loaded: Loaded, named: Sequence[str], to_csv: Path | None) -> dict[str, str]:
    """Whom to fund: addresses by wallet id."""
    if to_csv is not None:
        return _from_csv(to_csv)
    known = {
        wallet.id: checksummed(wallet.address) for wallet in loaded.wallets if wallet.enabled or wallet.id in named
    }
    unknown = sorted(set(named) - set(known))
    if unknown:
        raise BadInput(f"no wallet {unknown[0]} in the settings")
    return {name: address for name, address in known.items() if not named or name in named}


def _from_csv(path: Path) -> dict[str, str]:
    """The file that `wallets generate` writes: the address is in the first column, the id in a column of that name."""
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise BadInput(f"{path} cannot be read: {problem}") from None
    found: dict[str, str] = {}
    for number, row in enumerate(rows, 1):
        address = (row.get("address") or next(iter(row.values()), "") or "").strip()
        try:
            parse_address(address)
        except ValueError as wrong:
            raise BadInput(f"{path}, row {number}: {wrong}") from None
        name = (row.get("id") or f"{path.stem}-{number}").strip()
        if found.setdefault(name, address) != address:
            raise BadInput(
                f"{path}, row {number}: {name} was {found[name]} in a row before: each needs an id of its own"
            )
    if not found:
        raise BadInput(f"{path} names no wallet")
    return found


def extraction_plan(planned: Mapping[str, Any], tokens: Mapping[str, Token]) -> Shown:
    """Per wallet: what it holds, what is taken out of the protocol first, what is lost, about what it costs."""
    rows, sums, fees = [], dict.fromkeys([NATIVE, *tokens], 0), 0
    for name, plan in planned["plans"].items():
        steps = ", ".join(_step(step, tokens) for step in plan["way_out"]) or "-"
        rows.append(
            [
                name,
                texts(plan["holds"], tokens),
                steps,
                decimal_text(int(plan["about_fees_wei"])),
                "; ".join(plan["remarks"]),
            ]
        )
        fees += int(plan["about_fees_wei"])
        for asset, amount in plan["holds"].items():
            sums[asset] = sums.get(asset, 0) + int(amount)
        for step in plan["way_out"]:
            _add_step(sums, step, tokens)
    rows.append([f"sum of {len(planned['plans'])}", texts(sums, tokens), "", decimal_text(fees), ""])
    notes = [_tax_note(symbol, sums.get(symbol, 0), token, tokens) for symbol, token in tokens.items() if token.tax_bps]
    return Shown(("wallet", "holds", "first", "about fees", "remarks"), rows, [note for note in notes if note])


def _step(step: Mapping[str, Any], tokens: Mapping[str, Token]) -> str:
    amount = step.get("stake_wei", step.get("expected_wei"))
    symbol = next(iter(tokens), "")
    return str(step["kind"]) + (f" {text_of(symbol, int(amount), tokens)}" if amount is not None and symbol else "")


def _add_step(sums: dict[str, int], step: Mapping[str, Any], tokens: Mapping[str, Token]) -> None:
    amount = step.get("stake_wei", step.get("expected_wei"))
    symbol = next(iter(tokens), "")
    if amount is not None and symbol:
        sums[symbol] = sums.get(symbol, 0) + int(amount)


def _tax_note(symbol: str, amount: int, token: Token, tokens: Mapping[str, Token]) -> str:
    if not amount:
        return ""
    arrives = token.received_of(amount)
    share = f"{token.tax_bps * 100 / BPS:g} %"
    return (
        f"{symbol}: {share} of every transfer is taken on the way: of {text_of(symbol, amount, tokens)} "
        f"{text_of(symbol, arrives, tokens)} arrive, {text_of(symbol, amount - arrives, tokens)} are lost"
    )


def funding_plan(wanted: Mapping[str, Any], tokens: Mapping[str, Token]) -> Shown:
    """Per asset: what each wallet gets, what leaves the funder, what the tax takes."""
    count = len(wanted["targets"])
    rows = []
    each = {NATIVE: int(wanted["native_wei"]), **{symbol: int(amount) for symbol, amount in wanted["tokens"].items()}}
    for asset, arrives in each.items():
        if not arrives:
            continue
        leaves = tokens[asset].sent_for(arrives) if asset in tokens else arrives
        rows.append(
            [
                asset,
                str(count),
                text_of(asset, arrives, tokens),
                text_of(asset, leaves, tokens),
                text_of(asset, (leaves - arrives) * count, tokens),
                text_of(asset, leaves * count, tokens),
            ]
        )
    notes = [f"{len(rows) * count} transfers, and their fees"]
    return Shown(("asset", "wallets", "each gets", "each costs", "tax in all", "leaves in all"), rows, notes)


def extraction_end(ended: Mapping[str, Any], tokens: Mapping[str, Token]) -> Shown:
    """Per wallet: before, moved, tax, fees, left, remarks; and the sums."""
    rows = []
    for name, row in sorted(ended["rows"].items()):
        moved = row["moved"]
        rows.append(
            [
                name,
                texts(row["before"], tokens),
                texts({asset: it["received"] for asset, it in moved.items()}, tokens),
                texts({asset: it["tax"] for asset, it in moved.items()}, tokens),
                decimal_text(int(row["fees_wei"])),
                texts(row["left"], tokens),
                "; ".join(row["remarks"]),
            ]
        )
    summary = ended["summary"]
    moved = summary["moved"]
    rows.append(
        [
            f"sum of {len(ended['rows'])}",
            "",
            texts({asset: it["received"] for asset, it in moved.items()}, tokens),
            texts({asset: it["tax"] for asset, it in moved.items()}, tokens),
            decimal_text(int(summary["fees_wei"])),
            "",
            "",
        ]
    )
    return Shown(("wallet", "before", "arrived", "tax", "fees", "left", "remarks"), rows, [])


def funding_end(ended: Mapping[str, Any], tokens: Mapping[str, Token]) -> Shown:
    """Per wallet: what arrived, tax, fees; and the sums."""
    rows = []
    for name, row in sorted(ended["rows"].items()):
        if "moved" not in row:
            continue
        moved = row["moved"]
        rows.append(
            [
                name,
                row["address"],
                texts({asset: it["received"] for asset, it in moved.items()}, tokens),
                texts({asset: it["tax"] for asset, it in moved.items()}, tokens),
                decimal_text(int(row["fees_wei"])),
                "; ".join(row["remarks"]),
            ]
        )
    moved, summary = ended["summary"]["moved"], ended["summary"]
    rows.append(
        [
            f"sum of {len(rows)}",
            "",
            texts({asset: it["received"] for asset, it in moved.items()}, tokens),
            texts({asset: it["tax"] for asset, it in moved.items()}, tokens),
            decimal_text(int(summary["fees_wei"])),
            "",
        ]
    )
    return Shown(("wallet", "address", "arrived", "tax", "fees", "remarks"), rows, [])


def not_empty(ended: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Wallets of which the chain says something else than the table, or that are not empty."""
    problems = []
    for name, row in sorted(ended["rows"].items()):
        held = now.get(name, {}).get("holds", row["left"])
        if held != row["left"]:
            problems.append(f"{name}: the table says {row['left']}, the chain {held}")
        elif not row["empty"]:
            problems.append(f"{name}: not empty: {'; '.join(row['remarks']) or row['left']}")
    return problems


def not_funded(ended: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Targets to which less arrived than was asked for, by the receipts' own transfers."""
    each = {NATIVE: int(wanted["native_wei"]), **{symbol: int(amount) for symbol, amount in wanted["tokens"].items()}}
    problems = []
    for name in wanted["targets"]:
        moved = ended["rows"].get(name, {}).get("moved", {})
        for asset, amount in each.items():
            arrived = int(moved.get(asset, {}).get("received", 0))
            if arrived < amount:
                problems.append(f"{name}: {arrived} of {amount} {asset} arrived")
    return problems


def progress_line(standing: Mapping[str, Any]) -> str:
    """One line on how far an operation is."""
    summary = standing["summary"]
    steps = summary["steps"]
    line = (
        f"{standing['id']} {standing['state']}: {summary['done']} of {summary['wallets']} wallets, "
        f"{steps['done']} transactions done, {steps['open']} open, {steps['failed']} failed"
    )
    waiting = standing.get("waiting", {})
    if waiting:
        name, why = next(iter(waiting.items()))
        line += f"; {standing['waiting_count']} wait, {name}: {why}"
    return line
