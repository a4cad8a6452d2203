"""What the VMs of a project that are on may use together; the rest is in ``coordination.charges``."""

from __future__ import annotations

from core.coordination.charges import refuse_over
from core.i18n import N_
from core.rules.sizes import format_size

_REMEDY = N_("Power off other VMs, or ask the system administrator for more.")


def fit_vcpus(name: str, limit: int, used: int, more: int) -> None:
    """Refuse more VCPUs in VMs that are on than the project may have; the project was charged.

    Raises:
        QuotaExceeded: says by how many.
    """
    many = N_("Project {name} may run {limit} VCPUs and runs {used}: this would be {over} too many.")
    refuse_over(many, _REMEDY, name, limit, used, more)


def fit_memory(name: str, limit: int, used: int, more: int) -> None:
    """Refuse more memory in VMs that are on than the project may have; bytes; the project was charged.

    Raises:
        QuotaExceeded: says by how much.
    """
    much = N_("Project {name} may run {limit} of memory and runs {used}: this would be {over} too much.")
    refuse_over(much, _REMEDY, name, limit, used, more, shown=format_size)
