"""Dropping the records of volumes whose storage is gone for good; nothing in any storage is touched."""

from __future__ import annotations

from sqlalchemy import delete

from core.coordination.charges import charge
from core.errors import Refused
from core.i18n import N_
from core.model import Pool, Volume
from core.services.lookup import find
from core.services.operation import SYSTEM_ADMIN, Answer, Call, operation
from core.services.orders import idle
from core.services.pools import REACHED, states_of
from core.services.volume_checks import claim, let_go, pool_of, refuse_rested_on, refuse_used


@operation("volume.forget", roles=SYSTEM_ADMIN, action=N_("Forget"), target="volume")
def forget(call: Call, *, volume: str) -> Answer:
    """Drop the record of a volume that is missing, or whose pool nobody reaches; a file that is there stays.

    Its project's quota and its pool have it no more. A refresh finds the file as a foreign one, should it come back.
    """
    found = find(call, Volume, volume, field="volume")
    pool = pool_of(call, found)
    charge(call.session, Pool, pool.id)
    # As when it is deleted: an instance that takes it up just now waits for this.
    before = claim(call, found, "deleting")
    if before == "creating":
        let_go(call, found)
    idle(call, found, field="volume")
    refuse_used(call, found)
    refuse_rested_on(call, found)
    state = states_of(call, [pool.id])[pool.id]
    if before != "missing" and state in REACHED:
        raise Refused(
            N_("Volume {name} is not missing, and its storage pool {pool} is {state}: its file would be left behind."),
            remedy=N_("Delete it (`dosvm volume delete`), or refresh the storage pool if its file is gone."),
            field="volume",
            name=found.name,
            pool=pool.name,
            state=state,
        )
    call.note(f"{pool.name}/{found.name}", object=found.uuid, capacity=found.capacity)
    call.changed("volume", "pool", *(["secret"] if found.secret_id is not None else []))
    call.session.execute(delete(Volume).where(Volume.id == found.id))
    return {"uuid": found.uuid, "name": found.name}
