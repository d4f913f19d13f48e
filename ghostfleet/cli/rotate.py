"""`ghost-fleet rotate`: new keys in the place of old ones. Generate, fund, bring into use, empty, retire, prove, destroy.

Each step asks first whether it is done already, so the same command goes on wherever it was interrupted.
"""

import os
import secrets
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import coincurve
import typer

from ghostfleet.cli.before_paying import require_files, require_of_service
from ghostfleet.cli.client import JsonOption, ReasonOption, ServiceRefused, Way, asking
from ghostfleet.cli.operation_tables import not_funded
from ghostfleet.cli.operations import (
    PAY_THESE,
    NotDone,
    PlanOption,
    WalletsOption,
    YesOption,
    carried_out,
    confirm,
    ether,
    names_of,
    token_amount,
    tokens_known,
)
from ghostfleet.cli.operations_door import OperationsDoor, door
from ghostfleet.cli.operations_view import looker
from ghostfleet.cli.options import options_of
from ghostfleet.cli.output import print_json, print_line, print_notice, print_table
from ghostfleet.config import editing
from ghostfleet.config.loaded import Loaded
from ghostfleet.config.paths import resolved
from ghostfleet.errors import BadInput
from ghostfleet.keys.addresses import checksummed
from ghostfleet.keys.generation import PASSWORD_FILE, WALLETS_TOML, Plan, generate
from ghostfleet.keys.keystore import DEFAULT_SCRYPT_N, write_private
from ghostfleet.keys.passwords import PasswordPlace, PasswordSource, default_source, read_password
from ghostfleet.keys.secret import Secret
from ghostfleet.operations.rotation import Rotation, begun, chosen, ended, incomplete_set_aside, read, usual_directory
from ghostfleet.store.places import sqlite_path


@asking
def rotate(
    context: typer.Context,
    way: Way,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Directory of this rotation: the new keystores, and its plan. Default: rotation-001, and so on, beside the"
            " settings file, or beside the log where the old keystores lie there; one that has not ended goes on.",
        ),
    ] = None,
    count: Annotated[int | None, typer.Option("--count", help="So many of the oldest wallets.")] = None,
    wallets: WalletsOption = None,
    to: Annotated[
        str | None, typer.Option("--to", help="Where what the old ones hold goes. Default: the treasury.")
    ] = None,
    native: Annotated[str, typer.Option("--native", help="Native coin for each new wallet, e.g. 0.05ether.")] = "0",
    token: Annotated[
        list[str] | None,
        typer.Option("--token", help="Tokens that arrive at each new wallet: DATA=100. May be repeated."),
    ] = None,
    scrypt_n: Annotated[
        int, typer.Option("--scrypt-n", help="Work factor of the new keystores' encryption; small is weak.")
    ] = DEFAULT_SCRYPT_N,
    keys_may_stay: Annotated[
        bool,
        typer.Option(
            "--keys-may-stay", help="Also where an old keystore cannot be destroyed: the table says so at the end."
        ),
    ] = False,
    plan: PlanOption = False,
    yes: YesOption = False,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """New keys, funded and in use; the old wallets emptied, retired, and their keystores destroyed once they are proven empty at
    finality. Interrupted or killed at any point, the same command goes on."""
    loaded = options_of(context).load(keys=False)
    if out is None:
        out = usual_directory(_place(loaded))
        print_notice(f"this rotation is {out}")
    rotation = _planned(loaded, out, count, names_of(wallets), to, native, token or [])
    _show(rotation, as_json=as_json and plan)
    if plan:
        return
    confirm(f"Rotate {len(rotation.old)} wallets? Their keystores will be destroyed.", yes)
    require_files(
        loaded, rotation, options_of(context).environ(), begun=read(out) is not None, keys_may_stay=keys_may_stay
    )
    if read(out) is None:
        _require_receiver(context, way, rotation)
    rotation = begun(out, rotation)
    fresh = _generated(loaded, out, rotation, scrypt_n)
    print_notice(f"{len(fresh)} new wallets in {out}")
    why = reason or rotation.reason
    with door(context, way) as service:
        _require_what_follows(context, service, loaded, out, rotation, fresh, keys_may_stay)
        _funded(service, loaded, rotation, fresh, why, quiet=as_json)
        _in_use(context, service, loaded, out, fresh)
        _destruction_ended(service, loaded, rotation, why, quiet=as_json)
        emptied = _emptied(service, rotation, why, quiet=as_json)
        empty = [name for name in rotation.old if emptied["rows"].get(name, {}).get("empty", True)]
        _out_of_use(context, service, loaded, out, empty)
        destroyed = _destroyed(service, rotation, empty, why, quiet=as_json)
    _end(rotation, fresh, emptied, destroyed, as_json=as_json)
    ended(out)


def _planned(
    loaded: Loaded,
    out: Path,
    count: int | None,
    named: Sequence[str],
    to: str | None,
    native: str,
    token: Sequence[str],
) -> Rotation:
    """The rotation that began in this directory, or what was asked for."""
    known = read(out)
    if known is not None and (not named or set(named) == set(known.old)):
        return known
    enabled = [wallet.id for wallet in loaded.wallets if wallet.enabled]
    old = chosen(enabled, count, named)
    if loaded.treasury is None:
        raise BadInput("the settings name no treasury, which pays the new wallets: add [treasury]")
    tokens = tokens_known(loaded)
    by_id = {str(wallet.id): wallet for wallet in loaded.wallets}
    profiles: dict[str, int] = {}
    for name in old:
        profiles[by_id[name].profile] = profiles.get(by_id[name].profile, 0) + 1
    return Rotation(
        old=old,
        keyfiles=_keyfiles(loaded.path, old),
        profiles=profiles,
        to=to or checksummed(loaded.treasury.address),
        native_wei=str(ether(native)),
        tokens=dict(token_amount(text, tokens) for text in token),
    )


def _keyfiles(config: Path, old: Sequence[str]) -> dict[str, str]:
    """The old wallets' keystores, absolute. Raises BadInput for a key that is no file: whoever holds it has to destroy it."""
    tables = tomllib.loads(config.read_text(encoding="utf-8")).get("wallets", [])
    files = {table["id"]: table.get("keyfile") for table in tables if table.get("id") in old}
    for name in old:
        if not files.get(name):
            raise BadInput(f"{name} has no keyfile in the settings: rotate those that have one, the others by hand")
    return {name: str(resolved(config.parent, files[name])) for name in old}


def _require_receiver(context: typer.Context, way: Way, rotation: Rotation) -> None:
    """Before anything is written or paid: what the old wallets hold may go where it is to go. Raises BadInput."""
    try:
        looker(context, way).plan({"kind": "extract", "extract": _extraction(rotation)})
    except (BadInput, ServiceRefused) as refused:
        raise BadInput(f"nothing was paid: {refused}") from None


def _generated(loaded: Loaded, out: Path, rotation: Rotation, scrypt_n: int) -> dict[str, str]:
    """The new wallets by id, with their addresses: made now, or by an earlier try."""
    password, place = _password(out)
    fresh: dict[str, str] = {}
    for profile, count in rotation.profiles.items():
        directory = out / profile
        incomplete_set_aside(directory, WALLETS_TOML)
        if not directory.exists():
            plan = Plan(
                directory=directory,
                count=count,
                profile=profile,
                prefix=profile,
                start=None,
                password=password,
                new_password=False,
                password_file=place,
                relative_to=None,
                scrypt_n=scrypt_n,
            )
            generate(plan, lambda: Secret(coincurve.PrivateKey().secret))
        for table in tomllib.loads((directory / WALLETS_TOML).read_text(encoding="utf-8"))["wallets"]:
            fresh[table["id"]] = table["address"]
    assert len(fresh) == len(rotation.old)
    return fresh


def _place(loaded: Loaded) -> Path:
    """Where rotations lie that nobody gave a place: where the service may destroy them one day, as far as that can be known."""
    beside = loaded.path.absolute().parent
    log = sqlite_path(loaded.store.url)
    tables = tomllib.loads(loaded.path.read_text(encoding="utf-8")).get("wallets", [])
    first = next((str(table["keyfile"]) for table in tables if table.get("keyfile")), None)
    if log is not None and first is not None and resolved(beside, first).is_relative_to(log.parent):
        return log.parent
    return beside


def _password(out: Path) -> tuple[Secret, Path | None]:
    """The password of the new keystores: that of the environment, or one of this rotation's own, made once."""
    source = default_source(os.environ)
    if source is not None:
        return read_password(source, os.environ), None
    file = out / PASSWORD_FILE
    if not file.exists():
        write_private(file, secrets.token_urlsafe(32).encode() + b"\n")
    return read_password(PasswordSource(PasswordPlace.FILE, str(file)), os.environ), file.absolute()


def _require_what_follows(
    context: typer.Context,
    service: OperationsDoor,
    loaded: Loaded,
    out: Path,
    rotation: Rotation,
    fresh: Mapping[str, str],
    keys_may_stay: bool,
) -> None:
    """Before anything is paid: the settings with the new wallets would load, and the service can do its part."""
    text = _with_new(loaded.path.read_text(encoding="utf-8"), out, fresh)
    editing.require_replaceable(loaded.path, text, options_of(context).environ())
    there = {name: file for name, file in rotation.keyfiles.items() if Path(file).exists()}
    if there and not keys_may_stay:
        require_of_service(service.plan({"kind": "destroy", "destroy": {"keyfiles": there}})["plans"])


def _funded(
    service: OperationsDoor, loaded: Loaded, rotation: Rotation, fresh: Mapping[str, str], why: str, *, quiet: bool
) -> None:
    """Paid once, under the rotation's name: asked for again it says that it was done."""
    if not int(rotation.native_wei) and not rotation.tokens:
        return
    assert loaded.treasury is not None
    fund = {
        "funder": checksummed(loaded.treasury.address),
        "targets": dict(fresh),
        "native_wei": rotation.native_wei,
        "tokens": rotation.tokens,
        "again": rotation.name,
    }
    ended = carried_out(service, {"kind": "fund", "fund": fund, "reason": why}, quiet=quiet)
    missing = not_funded(ended, fund)
    if missing:
        print_notice(f"not all of it arrived at {len(missing)} new wallets ({missing[0]}): {PAY_THESE}")


def _in_use(
    context: typer.Context, service: OperationsDoor, loaded: Loaded, out: Path, fresh: Mapping[str, str]
) -> None:
    """The new wallets stand in the settings, and the service has read them."""
    before = loaded.path.read_text(encoding="utf-8")
    text = _with_new(before, out, fresh)
    if text != before:
        editing.replace_file(loaded.path, text, options_of(context).environ(), _backup(loaded, out, "before"))
        print_notice(f"{len(fresh)} new wallets stand in {loaded.path}")
    service.reload()


def _with_new(text: str, out: Path, fresh: Mapping[str, str]) -> str:
    """The settings with the new wallets in them, those that stand there already once."""
    missing = set(fresh) - set(editing.wallet_ids(text))
    for directory in sorted(it for it in out.iterdir() if (it / WALLETS_TOML).is_file()):
        tables = (directory / WALLETS_TOML).read_text(encoding="utf-8")
        if any(name in missing for name in editing.wallet_ids(tables)):
            text = editing.append(text, tables)
    return text


def _extraction(rotation: Rotation) -> dict[str, Any]:
    return {"to": rotation.to, "wallets": list(rotation.old), "wait": True, "retire": True}


def _emptied(service: OperationsDoor, rotation: Rotation, why: str, *, quiet: bool) -> dict[str, Any]:
    return carried_out(service, {"kind": "extract", "extract": _extraction(rotation), "reason": why}, quiet=quiet)


def _out_of_use(
    context: typer.Context, service: OperationsDoor, loaded: Loaded, out: Path, empty: Sequence[str]
) -> None:
    """The old wallets that are empty are disabled in the settings, and the service has read that. One that is not keeps its place
    there, and so the service its key: the same command empties it once it can."""
    text = loaded.path.read_text(encoding="utf-8")
    changed = editing.disable(text, empty)
    if changed != text:
        editing.replace_file(loaded.path, changed, options_of(context).environ(), _backup(loaded, out, "between"))
        print_notice(f"{len(empty)} old wallets are disabled in {loaded.path}")
    service.reload()


def _destruction_ended(service: OperationsDoor, loaded: Loaded, rotation: Rotation, why: str, *, quiet: bool) -> None:
    """An earlier try asked for it and was killed while the chain was not final yet: it has these wallets until it ends."""
    disabled = [str(it.id) for it in loaded.wallets if it.id in rotation.old and not it.enabled]
    if disabled and any(it["kind"] == "destroy" for it in service.open()):
        _destroyed(service, rotation, [name for name in rotation.old if name in disabled], why, quiet=quiet)


def _destroyed(
    service: OperationsDoor, rotation: Rotation, names: Sequence[str], why: str, *, quiet: bool
) -> dict[str, Any]:
    if not names:
        return {"rows": {}}
    destroy = {"keyfiles": {name: rotation.keyfiles[name] for name in names}}
    return carried_out(service, {"kind": "destroy", "destroy": destroy, "reason": why}, quiet=quiet)


def _backup(loaded: Loaded, out: Path, moment: str) -> Path:
    """The settings as they were, in the rotation's directory."""
    return out / f"{loaded.path.name}.{moment}"


def _show(rotation: Rotation, *, as_json: bool) -> None:
    if as_json:
        print_json(rotation)
        return
    print_table(("old wallet", "keystore"), [[name, rotation.keyfiles[name]] for name in rotation.old])
    new = ", ".join(f"{count} {profile}" for profile, count in rotation.profiles.items())
    print_line(f"new wallets: {new}; what the old ones hold goes to {rotation.to}")


def _end(
    rotation: Rotation,
    fresh: Mapping[str, str],
    emptied: Mapping[str, Any],
    destroyed: Mapping[str, Any],
    *,
    as_json: bool,
) -> None:
    lines = {name: destroyed["rows"].get(name) or _not_empty(emptied["rows"][name]) for name in rotation.old}
    kept = [name for name in rotation.old if not lines[name]["destroyed"]]
    if as_json:
        print_json(
            {"old": list(rotation.old), "new": fresh, "emptied": emptied, "destroyed": destroyed, "problems": kept}
        )
    else:
        columns = ("old wallet", "proven empty at block", "left", "key")
        print_table(
            columns,
            [[name, lines[name]["block"], lines[name]["left"], "; ".join(lines[name]["remarks"])] for name in lines],
        )
        print_table(("new wallet", "address"), list(fresh.items()))
    if kept:
        raise NotDone(
            f"the keys of {', '.join(kept)} are not destroyed: the table says why; run the same command again"
        )


def _not_empty(line: Mapping[str, Any]) -> dict[str, Any]:
    """The line of a wallet whose key was not asked for, as it is not empty."""
    return {"block": "-", "left": line["left"], "destroyed": False, "remarks": ["not empty", *line["remarks"]]}
