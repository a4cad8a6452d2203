"""A still picture of the living cloud."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from core.services.cloud import HostView


@dataclass
class StillCloud:
    """The :class:`core.services.cloud.Cloud` of tests: hosts are what the test says."""

    me: str = ""
    views: dict[int, HostView] = field(default_factory=dict)
    host_history: list[dict[str, Any]] = field(default_factory=list)
    machine_history: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def put(self, view: HostView) -> None:
        """Show a host, or show it anew."""
        self.views[view.id] = view

    def change(self, host_id: int, **values: Any) -> None:
        """Change what is seen of a host."""
        self.views[host_id] = replace(self.views[host_id], **values)

    def host(self, host_id: int) -> HostView | None:
        """See :meth:`core.services.cloud.Cloud.host`."""
        return self.views.get(host_id)

    def hosts(self) -> list[HostView]:
        """See :meth:`core.services.cloud.Cloud.hosts`."""
        return list(self.views.values())

    def host_samples(self, uuid: str, since: float) -> list[dict[str, Any]]:
        """See :meth:`core.services.cloud.Cloud.host_samples`."""
        return [sample for sample in self.host_history if sample["at"] > since]

    def machine_samples(self, machines: dict[str, list[str]], since: float) -> dict[str, list[dict[str, Any]]]:
        """See :meth:`core.services.cloud.Cloud.machine_samples`."""
        wanted = {uuid for uuids in machines.values() for uuid in uuids}
        return {uuid: samples for uuid, samples in self.machine_history.items() if uuid in wanted}
