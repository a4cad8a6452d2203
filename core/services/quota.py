"""What a project may use, held against what it uses; the project was charged before (see ``coordination.charges``)."""

from __future__ import annotations

from sqlalchemy import select

from core.errors import QuotaExceeded
from core.i18n import N_
from core.model import Project
from core.rules.sizes import format_size
from core.services.operation import Call
from core.services.usage import USED

_REMEDY = N_("Power off other VMs, or ask the system administrator for more.")


def fit_vcpus(name: str, limit: int, used: int, more: int) -> None:
    """Refuse more VCPUs in VMs that are on than the project may have.

    Raises:
        QuotaExceeded: says by how many.
    """
    if used + more > limit:
        raise QuotaExceeded(
            N_("Project {name} may run {limit} VCPUs and runs {used}: this would be {over} too many."),
            remedy=_REMEDY,
            name=name,
            limit=limit,
            used=used,
            over=used + more - limit,
        )


def fit_memory(name: str, limit: int, used: int, more: int) -> None:
    """Refuse more memory in VMs that are on than the project may have; bytes.

    Raises:
        QuotaExceeded: says by how much.
    """
    if used + more > limit:
        raise QuotaExceeded(
            N_("Project {name} may run {limit} of memory and runs {used}: this would be {over} too much."),
            remedy=_REMEDY,
            name=name,
            limit=format_size(limit),
            used=format_size(used),
            over=format_size(used + more - limit),
        )


def fit_instance(call: Call, project_id: int) -> None:
    """Refuse one more instance of a project than its quota.

    Raises:
        QuotaExceeded: it has as many as it may have.
    """
    statement = select(Project.name, Project.max_instances, USED["instances"].label("used"))
    name, limit, used = call.session.execute(statement.where(Project.id == project_id)).one()
    if used + 1 > limit:
        raise QuotaExceeded(
            N_("Project {name} may have {limit} instances and has {used}: this would be {over} too many."),
            remedy=N_("Delete others, or ask the system administrator for more."),
            name=name,
            limit=limit,
            used=used,
            over=used + 1 - limit,
        )
