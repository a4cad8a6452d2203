"""A host: its facts, and charts of processor, memory, disk and network (manual 6.2.2.2)."""

from __future__ import annotations

from typing import Any

from core.i18n import N_
from screens.spec import Kind
from screens.special.charts import ChartDetail, Series


class HostDetail(ChartDetail):
    """The details of a host."""

    SAMPLES = "host.samples"
    SERIES = (
        Series(("cpu_percent",), N_("Processor"), Kind.PERCENT),
        Series(("memory_percent",), N_("Memory"), Kind.PERCENT),
        Series(("disk_percent",), N_("Disk"), Kind.PERCENT),
        Series(("network_rate",), N_("Network"), Kind.RATE),
    )

    def target(self) -> dict[str, Any]:
        """See :meth:`screens.special.charts.ChartDetail.target`."""
        return {"host": self.row["uuid"]}
