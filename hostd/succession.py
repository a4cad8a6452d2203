"""Goes on with what hosts that died were doing, where any host can do it."""

from __future__ import annotations

from core.services.dispatch import Services
from core.services.succession import stranded, succeed


class Succession:
    """Looks for tasks of dead hosts; every hostd does, and whoever is first hands them over."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def concerns(self, topics: frozenset[str]) -> bool:
        """Whether news of these kinds are a reason to look at once."""
        return "host" in topics

    def look(self) -> None:
        """Look once, and act.

        Raises:
            DosvmError: the database does not answer.
        """
        # Nothing of the database is needed to know that nobody has died.
        if not any(view.state == "down" for view in self._services.cloud.hosts()):
            return
        if self._services.reading(stranded):
            self._services.duty(succeed)
