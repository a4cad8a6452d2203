"""What a service knows of the living cloud beyond the database: who is alive, how loaded, how to reach it.

hostd provides it (:mod:`hostd.cloud`); tests provide a still picture.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class HostView:
    """A host as this hostd sees it. ``state`` is ``up``, ``down`` or ``unknown`` (not watched long enough).

    ``age`` is the seconds since its heartbeat was last seen to move. Memory is bytes.
    """

    id: int
    uuid: str
    name: str
    address: str
    port: int
    state: str
    age: float
    cores: int
    max_vcpus: int
    max_memory: int
    accelerator: str
    hypervisor_error: str = ""
    cpu_percent: float = 0.0
    memory_percent: float = 0.0
    disk_percent: float = 0.0
    network_rate: float = 0.0
    groups: frozenset[int] = field(default_factory=frozenset)


class Cloud(Protocol):
    """The living cloud."""

    @property
    def me(self) -> str:
        """The UUID of the host this runs on."""

    def host(self, host_id: int) -> HostView | None:
        """One host, by its id in the database; None when it is not known yet."""

    def hosts(self) -> list[HostView]:
        """All hosts."""

    def host_samples(self, uuid: str, since: float) -> list[dict[str, Any]]:
        """Recent load samples of a host, oldest first, newer than ``since`` (Unix seconds).

        Raises:
            HostdUnavailable: the host does not answer.
        """

    def machine_samples(self, machines: dict[str, list[str]], since: float) -> dict[str, list[dict[str, Any]]]:
        """Recent load samples of VMs, given host UUID -> VM UUIDs. Silent hosts give nothing."""
