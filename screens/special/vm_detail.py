"""A VM: its facts, why its start failed, and charts of its load (manual 11.4)."""

from __future__ import annotations

from typing import Any

from core.i18n import N_
from screens.spec import Kind
from screens.special.charts import ChartDetail, Series


class VmDetail(ChartDetail):
    """The details of a VM."""

    SAMPLES = "vm.samples"
    SERIES = (
        Series(("cpu_percent",), N_("Processor"), Kind.PERCENT),
        Series(("memory",), N_("Memory"), Kind.SIZE),
        Series(("read_rate", "write_rate"), N_("Disk, read and written"), Kind.RATE),
        Series(("receive_rate", "send_rate"), N_("Network, in and out"), Kind.RATE),
    )

    def target(self) -> dict[str, Any]:
        """See :meth:`screens.special.charts.ChartDetail.target`."""
        return {"vm": self.row["uuid"]}
