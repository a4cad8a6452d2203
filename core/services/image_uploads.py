"""Images that are uploaded: announced, sent in parts to the hostd that answers, looked at when whole (manual 9.5.2)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlalchemy import select, update

from core.coordination.charges import fit_image_bytes
from core.errors import AlreadyExists, InvalidInput, NotFound, Refused
from core.i18n import N_
from core.model import Image, Project, Task
from core.rpc.calls import AS_IT_CAME
from core.services.images import check_values, end_upload, enter, group_of, own
from core.services.operation import PROJECT_ADMIN, Answer, Call, operation
from core.services.orders import here, order

#: The largest file that can be announced: 64 TiB, as the largest disk.
_MAX_FILE = 64 * 1024**4


@operation("image.upload", roles=PROJECT_ADMIN, action=N_("Upload"), target="name")
def upload(
    call: Call,
    *,
    name: str,
    source: int,
    file: str = "",
    group: str = "",
    format: str = "raw",  # noqa: A002 (what people call it)
    architecture: str = "x86_64",
    shared: bool = True,
    read_only: bool = True,
    description: str = "",
) -> Answer:
    """Announce a file of ``source`` bytes, which counts from now on; its parts follow by the call ``upload``.

    Announced again with the same name and the same details, it is gone on with.
    """
    project = call.session.scalars(select(Project).where(Project.id == call.actor.project_id)).one()
    where = group_of(call, project, group)
    details = {"file": file or name, "format": format}
    check_values(name=name, architecture=architecture, description=description, **details)
    if not 0 < source <= _MAX_FILE:
        raise InvalidInput(N_("The file is empty, or larger than a disk can be."), field="source")
    begun = call.session.scalar(
        select(Image).where(
            Image.group_id == where.id, Image.name == name, Image.project_id == project.id, Image.state == "uploading"
        )
    )
    if begun is not None:
        if (begun.file, begun.format, begun.size) != (details["file"], format, source):
            raise AlreadyExists(
                N_("An upload of {name} was begun with another file."),
                remedy=N_("Go on with that one, or give it up by `dosvm image delete {name}`."),
                field="name",
                name=name,
            )
        call.note(name, object=begun.uuid, again=True)
        return {"uuid": begun.uuid, "name": name}
    host = here(call)
    image = enter(
        call,
        where,
        project,
        name=name,
        architecture=architecture,
        shared=shared,
        read_only=read_only,
        description=description,
        state="uploading",
        **details,
    )
    fit_image_bytes(call.session, image.id, source, field="source")
    image.size, image.host = source, host.uuid
    call.note(name, object=image.uuid, group=where.name, file=image.file, format=format, size=source, host=host.name)
    return {"uuid": image.uuid, "name": name}


@operation("image.cancel", roles=PROJECT_ADMIN, action=N_("Cancel"), target="image")
def cancel(call: Call, *, image: str) -> Answer:
    """Give up an upload of the own project, whoever sends it; one that is whole is an image, which is deleted."""
    found = own(call, image)
    if not end_upload(call, found):
        raise Refused(
            N_("Image {name} is not being uploaded: its state is {state}."),
            remedy=N_("Delete it (`dosvm image delete`)."),
            field="image",
            name=found.name,
            state=found.state,
        )
    return {"uuid": found.uuid, "name": found.name}


def finish(call: Call, uuid: str, digest: str, stamp: Sequence[int] | None = None) -> Answer:
    """All parts are here: have this host look at them. Said again, the task is the same.

    Args:
        call: by whom.
        uuid: of the image.
        digest: SHA-256 of what was sent, or that hostd knows by itself that it is all of it.
        stamp: what the file looks like then, as which alone it is taken.

    Raises:
        NotFound: nothing of the caller's project is being uploaded under this identity.
    """
    if digest != AS_IT_CAME and not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise InvalidInput(N_("{field} has the wrong type."), field="finish")
    project_id = call.actor.project_id
    image = call.session.scalar(select(Image).where(Image.uuid == uuid, Image.project_id == project_id))
    changed = call.session.execute(
        update(Image)
        .where(Image.uuid == uuid, Image.project_id == project_id, Image.state == "uploading")
        .values(state="creating", version=Image.version + 1)
        .execution_options(synchronize_session=False)
    )
    if changed.rowcount != 1:  # type: ignore[attr-defined]
        before = call.session.scalar(
            select(Task.uuid)
            .where(Task.target == uuid, Task.kind == "image.receive", Task.project_id == project_id)
            .order_by(Task.id.desc())
            .limit(1)
        )
        if before is None:
            raise NotFound(N_("Nothing is being uploaded there."), remedy=N_("Begin the upload again."), field="image")
        return {"task": before}
    assert image is not None
    call.changed("image")
    payload = {"digest": digest} if stamp is None else {"as_it_came": list(stamp)}
    done = order(call, "image.receive", image, here(call).id, project_id=image.project_id, payload=payload)
    return {"task": done["task"]}
