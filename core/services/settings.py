"""The parameters that all hosts of the cloud live by (manual 13.2.1)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import or_, select

from core.coordination import parameters
from core.coordination.charges import charge_directories
from core.errors import NotFound
from core.i18n import N_
from core.model import CloudParameters, Host
from core.rules import names
from core.rules.parameters import RANGES, check_parameters
from core.services.editing import check_version, edit
from core.services.fields import ruled
from core.services.listing import Query, answer
from core.services.operation import SYSTEM_ADMIN, Answer, Call, operation
from core.services.pool_origins import refuse_overlap, tidy
from core.services.shortening import refuse_unasked

#: What the one row is called.
NAME = "settings"


def _row(call: Call) -> dict[str, Any]:
    """The parameters, and which hosts do not live by them yet or cannot."""
    row = call.session.get(CloudParameters, parameters.ROW)
    known = parameters.read(call.session) if row is None else parameters.taken(row)
    states = {view.id: view.state for view in call.cloud.hosts()}
    behind = call.session.execute(
        select(Host.id, Host.name)
        .where(or_(Host.parameters != known.version, Host.port_error != "", Host.temporary_error != ""))
        .order_by(Host.name)
    )
    return {
        "uuid": row.uuid if row is not None else NAME,
        "name": NAME,
        **known.as_dict(),
        "port": known.port or RANGES["port"].first,
        # A host that is down takes them over when it comes back: nobody waits for it.
        "not_taken_over_by": [host.name for host in behind if states.get(host.id) == "up"],
    }


def _own(reference: str, uuid: str) -> None:
    if reference not in ("", NAME, uuid):
        raise NotFound(N_("There is one set of runtime parameters only."), remedy=N_("Leave it out."), field=NAME)


@operation("settings.list", roles=SYSTEM_ADMIN)
def list_(call: Call, *, query: Query) -> Answer:
    """The runtime parameters, as a list of one."""
    return answer([_row(call)][query.offset :], 1)


@operation("settings.show", roles=SYSTEM_ADMIN)
def show(call: Call, *, settings: str = "") -> Answer:
    """The runtime parameters; there is no other set to name."""
    row = _row(call)
    _own(settings, row["uuid"])
    return row


@operation("settings.edit", roles=SYSTEM_ADMIN, action=N_("Edit"))
def edit_(
    call: Call,
    *,
    settings: str = "",
    vm_sample_interval: int | None = None,
    vm_flush_interval: int | None = None,
    host_sample_interval: int | None = None,
    host_history_interval: int | None = None,
    heartbeat_interval: int | None = None,
    scheduling_interval: int | None = None,
    missed_heartbeats: int | None = None,
    port: int | None = None,
    temporary_directory: str | None = None,
    host_history_days: int | None = None,
    task_days: int | None = None,
    trash_days: int | None = None,
    lose: Any = False,
    version: int | None = None,
) -> Answer:
    """Change the parameters that all hosts live by; those left out stay. Running hostds follow at once.

    ``lose``: what is then older than it is kept may go for good: all, or what :func:`refuse_unasked` asked about.
    """
    row = call.session.get(CloudParameters, parameters.ROW)
    if row is None:
        # Nobody changed any until now: what holds is written down. Two who do so at once meet at the key.
        row = CloudParameters(id=parameters.ROW, version=0)
        call.session.add(row)
        call.session.flush()
    _own(settings, row.uuid)
    values: dict[str, Any] = {
        "vm_sample_interval": vm_sample_interval,
        "vm_flush_interval": vm_flush_interval,
        "host_sample_interval": host_sample_interval,
        "host_history_interval": host_history_interval,
        "heartbeat_interval": heartbeat_interval,
        "scheduling_interval": scheduling_interval,
        "missed_heartbeats": missed_heartbeats,
        "port": port,
        "temporary_directory": temporary_directory,
        "host_history_days": host_history_days,
        "task_days": task_days,
        "trash_days": trash_days,
    }
    ruled("temporary_directory", names.directory_or_none, temporary_directory)
    now = parameters.taken(row)
    check_parameters({**now.as_dict(), **{k: v for k, v in values.items() if v is not None}})
    check_version(call, row, version)
    if temporary_directory and temporary_directory != now.temporary_directory:
        # A refresh would take what VMs write for volumes, and somebody delete it as such.
        charge_directories(call.session)
        refuse_overlap(call, tidy(temporary_directory), None, field="temporary_directory")
    refuse_unasked(call, now, values, lose)
    call.note(NAME)
    edit(call, row, version, values)
    call.changed("parameters")
    call.session.flush()
    return _row(call)
