"""What has to be so before a rotation pays? All that it will want of files once the money is gone, asked while nothing has moved.

What this process can see, it looks at itself; the service is asked what it sees, which may be on another side of a mount.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from ghostfleet.config import editing
from ghostfleet.config.loaded import Loaded
from ghostfleet.domain.naming import some_of
from ghostfleet.errors import BadInput
from ghostfleet.operations.destroy import why_it_would_stay
from ghostfleet.operations.rotation import Rotation

NAMED = 4


class WouldNotEnd(BadInput):
    """Nothing was paid: what comes after the payment would fail here. The message says where, and who can."""


def require_files(
    loaded: Loaded, rotation: Rotation, environ: Mapping[str, str], *, begun: bool, keys_may_stay: bool
) -> None:
    """The settings can be replaced, the old keystores destroyed, and what is written will be the service's own. One that `begun`
    before may have destroyed some. Raises WouldNotEnd, NotEditable, ConfigInvalid."""
    by_id = {str(wallet.id): wallet.address for wallet in loaded.wallets}
    for name, file in rotation.keyfiles.items():
        if begun and not os.path.lexists(file):
            continue
        _require_same_user(Path(file))
        why = why_it_would_stay(Path(file), by_id[name]) if name in by_id else ""
        if why and not keys_may_stay:
            raise WouldNotEnd(f"nothing was paid: {name}: {why}; --keys-may-stay rotates all the same")
    text = loaded.path.read_text(encoding="utf-8")
    editing.require_replaceable(loaded.path, editing.disable(text, rotation.old), environ)


def require_of_service(plans: Mapping[str, Mapping[str, object]]) -> None:
    """The same as the service sees it: `plans` are what it answers about destroying. Raises WouldNotEnd."""
    kept = {name: str(plan["stays"]) for name, plan in plans.items() if plan.get("stays")}
    if kept:
        first = next(iter(kept.values()))
        raise WouldNotEnd(
            f"nothing was paid: the service could not destroy the keystores of {some_of(list(kept), NAMED, 'others')}: {first};"
            " keystores lie where it may write, and one in a container is asked in it, docker exec (docs/deploy.md);"
            " --keys-may-stay rotates all the same"
        )


def _require_same_user(file: Path) -> None:
    try:
        owner, here = file.stat().st_uid, os.geteuid()
    except OSError as problem:
        raise WouldNotEnd(f"nothing was paid: {file}: {problem.strerror}") from None
    if owner != here:
        raise WouldNotEnd(
            f"nothing was paid: {file} belongs to user {owner}, this is user {here}: new keystores and settings would be yours"
            f" and not the service's; ask as its user: sudo -u '#{owner}' ghost-fleet ..."
        )
