"""People and things for tests of the services, made as people make them: by operations."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.model import SYSADM, Host, Project, Role, User
from core.services.actor import Actor
from core.services.cloud import HostView
from core.services.dispatch import Services
from tests.fakes.cloud import StillCloud

#: Everybody's password.
PASSWORD = "Correct-horse-9"
GIB = 1024**3


@dataclass(frozen=True)
class Person:
    """Somebody who calls operations: ``person("vm.list", search="web")["rows"]``."""

    services: Services
    account: str

    @property
    def actor(self) -> Actor:
        """Who this is now, as the database says."""

        def load(session: Session) -> Actor:
            user, active = session.execute(
                select(User, Project.active)
                .outerjoin(Project, Project.id == User.project_id)
                .where(User.account == self.account)
            ).one()
            return Actor(
                user_id=user.id,
                uuid=user.uuid,
                account=user.account,
                role=Role(user.role),
                address="192.0.2.7",
                project_id=user.project_id,
                project_active=active is not False,
                must_change_password=user.must_change_password,
            )

        return self.services.database.read(load)

    def __call__(self, operation: str, *, request: str = "", **arguments: Any) -> dict[str, Any]:
        """Call an operation."""
        answer: dict[str, Any] = self.services.call(operation, arguments, self.actor, request or str(uuid.uuid4()))
        return answer

    def names(self, operation: str, **arguments: Any) -> list[str]:
        """The names in a list."""
        return [row["name"] for row in self(operation, **arguments)["rows"]]


class Office:
    """The system administrator and, when asked for, projects with their admins, and hosts."""

    def __init__(self, services: Services) -> None:
        self.services = services
        hashed = services.passwords.hash(PASSWORD)
        services.database.write(
            lambda session: session.add(User(account=SYSADM, role=Role.SYSADM.value, password_hash=hashed))
        )
        self.sysadm = Person(services, SYSADM)

    def person(self, account: str) -> Person:
        """Somebody who has an account already."""
        return Person(self.services, account)

    def user(self, account: str, project: str = "") -> Person:
        """A new project admin."""
        self.sysadm("user.add", account=account, project=project, new_password=PASSWORD, own_password=PASSWORD)
        return self.person(account)

    def project(self, name: str, *, admin: str = "", **quotas: int) -> Person:
        """A new project in a group of the same name, with an admin; generous quotas unless told."""
        self.sysadm("project-group.add", name=f"{name}-group", directory=f"/srv/dosvm-test/{name}")
        self.sysadm("project.add", name=name, group=f"{name}-group")
        generous: dict[str, Any] = {
            "max_instances": 100,
            "max_vcpus": 100,
            "max_memory": 100 * GIB,
            "max_disk": 1000 * GIB,
            "max_images": 100,
            "max_image_bytes": 100 * GIB,
            "max_snapshots": 100,
        }
        self.sysadm("project.configure", project=name, **{**generous, **quotas})
        return self.user(admin or f"{name}-admin", name)

    def host(self, name: str, *, state: str = "up", memory: int = 64 * GIB, cores: int = 16) -> int:
        """A new host as its hostd registers it; returns its id."""

        def register(session: Session) -> Host:
            host = Host(
                name=name,
                address="192.0.2.1",
                port=5555,
                cores=cores,
                memory=memory,
                max_vcpus=cores * 4,
                max_memory=memory - 512 * 1024**2,
                architecture="x86_64",
                accelerator="tcg",
            )
            session.add(host)
            session.flush()
            return host

        host = self.services.database.write(register)
        cloud = self.services.cloud
        if isinstance(cloud, StillCloud):
            cloud.put(
                HostView(
                    id=host.id,
                    uuid=host.uuid,
                    name=name,
                    address=host.address,
                    port=host.port,
                    state=state,
                    age=1.0,
                    cores=cores,
                    max_vcpus=host.max_vcpus,
                    max_memory=host.max_memory,
                    accelerator="tcg",
                )
            )
        return host.id

    def fill(self, *rows: Any) -> None:
        """Put rows into the database directly, where no operation makes them yet or it would be beside the point."""
        self.services.database.write(lambda session: session.add_all(rows))
