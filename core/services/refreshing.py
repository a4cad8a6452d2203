"""Refreshing pools, and taking in what was found there (manual 9.4.7)."""

from __future__ import annotations

from core.coordination.charges import charge, fit_found, fit_given
from core.errors import InvalidInput, Refused
from core.i18n import N_
from core.model import Pool, Project, Volume
from core.rules.pools import KINDS
from core.rules.volumes import FORMATS
from core.services.lookup import find
from core.services.operation import EVERYBODY, SYSTEM_ADMIN, Answer, Call, operation
from core.services.orders import host_for, idle, order
from core.services.volume_checks import claim, encrypting, pool_of, refuse_secret_of_others, refuse_unready


@operation("pool.refresh", roles=EVERYBODY, action=N_("Refresh"), target="pool")
def refresh(call: Call, *, pool: str) -> Answer:
    """Compare a pool's volumes with what is there: new ones are entered, those that are gone are marked missing."""
    found = find(call, Pool, pool, field="pool")
    host_id = host_for(call, found, field="pool")
    charge(call.session, Pool, found.id)
    refuse_unready(call, found)
    idle(call, found, field="pool")
    call.note(found.name, object=found.uuid)
    project_id = None if call.actor.is_sysadm else call.actor.project_id
    return order(call, "pool.refresh", found, host_id, project_id=project_id)


@operation("volume.accept", roles=SYSTEM_ADMIN, action=N_("Accept"), target="volume")
def accept(
    call: Call,
    *,
    volume: str,
    format: str,  # noqa: A002 (people call it so)
    project: str = "",
    secret: str = "",
) -> Answer:
    """Say what format a file has that a refresh found, so that instances may use it; its host looks whether it has.

    One that is encrypted needs the secret that opens it, which the host tries.

    With a project it is that one's from then on, and counts against its quota; otherwise every project that has the
    pool may use it, and only the system administrator may change it.
    """
    found = find(call, Volume, volume, field="volume")
    owner = find(call, Project, project, field="project") if project else None
    if format not in FORMATS:
        raise InvalidInput(N_("A volume's format is one of: {formats}."), field="format", formats=", ".join(FORMATS))
    key = encrypting(call, secret, format)
    refuse_secret_of_others(key, owner, field="secret")
    pool = pool_of(call, found)
    if found.state != "foreign" or not KINDS[pool.kind].files:
        raise Refused(
            N_("Volume {name} was accepted already: its state is {state}."),
            field="volume",
            name=found.name,
            state=found.state,
        )
    host_id = host_for(call, pool, field="volume")
    # Asked again by the host that has looked: until then it counts with what it takes.
    fit_found(call.session, found.id, found.capacity)
    if owner is not None:
        fit_given(call.session, owner.id, pool.id, found.capacity)
    idle(call, found, field="volume")
    # It stays foreign, but whoever deletes it at this moment waits, or is waited for.
    if claim(call, found, "foreign") != "foreign":
        raise Refused(
            N_("Something else is being done with {name}."),
            remedy=N_("Wait for its task to end."),
            field="volume",
            name=found.name,
        )
    given = {"project": owner.name} if owner is not None else {}
    given |= {"secret": key.name} if key is not None else {}
    call.note(f"{pool.name}/{found.name}", object=found.uuid, format=format, **given)
    call.changed("volume")
    payload = {"format": format, **({"project": owner.id} if owner is not None else {})}
    payload |= {"secret": key.uuid} if key is not None else {}
    return order(call, "volume.accept", found, host_id, project_id=found.project_id, payload=payload)
