"""Who is calling."""

from __future__ import annotations

from dataclasses import dataclass

from core.model import Role


@dataclass(frozen=True)
class Actor:
    """A logged-in user as of this call. ``project_active`` is False when the project was deactivated."""

    user_id: int
    uuid: str
    account: str
    role: Role
    address: str
    project_id: int | None = None
    project_active: bool = True
    must_change_password: bool = False
    session: str = ""
    """The digest of the session's token; empty when identity was proved by a password."""

    @property
    def is_sysadm(self) -> bool:
        """Whether this is the system administrator."""
        return self.role is Role.SYSADM


#: hostd itself, for what it does on its own account: emptying the trash, for example.
HOSTD = Actor(user_id=0, uuid="", account="hostd", role=Role.SYSADM, address="")
