"""In every list: what the key bar greys for a row is refused or changes nothing, and what it offers is not refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.errors import DosvmError
from core.model import Image, Instance, Machine, Pool, Project, ProjectGroup, Task
from core.services.actor import Actor
from core.services.operation import OPERATIONS
from screens.generic.offers import actions_of, is_allowed
from screens.spec import SYSADM, Action, ResourceSpec, Target
from tests.architecture.rights import RIGHTS
from tests.architecture.roles import SEEN
from tests.architecture.test_permissions import filled
from tests.architecture.world import furnish
from tests.fakes.office import Office

#: Power and state of VMs, as people meet them.
VMS = (
    ("on", "running"), ("on", "paused"), ("on", "starting"), ("on", "failed"), ("on", "unknown"),
    ("off", "off"), ("off", "stopping"), ("off", "running"), ("off", "failed"),
)  # fmt: skip
#: State of images; whether an instance uses one, the world has already.
IMAGES = ("present", "uploading", "creating", "deleting", "missing")
TASKS = (("machine.reboot", "queued"), ("machine.reboot", "running"), ("volume.merge", "running"), ("purge", "queued"))
#: Refused by what is typed, by the answer to a question that comes first, or by other things than the row tells, which
#: the refusal then names.
NOT_BY_THE_ROW = {
    ("host", "delete"): "a host that is down and still has pools",
    ("project", "delete"): "what hangs on it is listed first, and goes by a word",
    ("project-group", "add-project"): "which project",
    ("project-group", "remove-project"): "which project",
    ("volume", "give"): "to whom",
    ("volume", "snapshot"): "whether what writes to it goes on with the snapshot",
}


class _Came(Exception):
    """What came of an operation; raised so that nothing of it stays."""

    def __init__(self, error: DosvmError | None, changed: bool) -> None:
        super().__init__()
        self.error, self.changed = error, changed


def _attempt(office: Office, actor: Actor, operation: str, arguments: dict[str, Any]) -> _Came:
    """Try it, and take it back."""
    found = OPERATIONS[operation]

    def work(session: Session) -> None:
        call = office.services._call(session, actor)
        try:
            done = found.function(call, **arguments)
            if found.many:
                call.only(done)
        except DosvmError as error:
            raise _Came(error, changed=False) from error
        raise _Came(None, changed=not call.unchanged)

    try:
        office.services.database.write(work)
    except _Came as came:
        return came
    raise AssertionError("it always comes to something")


@pytest.fixture
def varied(office: Office) -> dict[str, str]:
    """One of everything, and what there is in several states in each of them; how operations name the one."""
    names, _uuids = furnish(office)
    dead = office.host("dead", state="down")

    def fill(session: Session) -> None:
        web = session.scalars(select(Project).where(Project.name == "web")).one()
        group = session.scalars(select(ProjectGroup).where(ProjectGroup.name == "web-group")).one()
        instance = session.scalars(select(Instance).where(Instance.name == "web-instance")).one()
        here = session.scalars(select(Pool.host_id).where(Pool.name == "web-pool")).one()
        for number, (power, state) in enumerate(VMS):
            vm = Machine(name=f"vm-{number}", project_id=web.id, instance_id=instance.id, power=power, state=state)
            vm.host_id = here
            session.add(vm)
        for state in IMAGES:
            session.add(
                Image(name=state, group_id=group.id, project_id=web.id, file=f"{state}.iso", format="iso", state=state)
            )
        session.add(Pool(name="empty", kind="dir", capacity=10**12, path="/srv/empty", host_id=here))
        session.add(Pool(name="away", kind="dir", capacity=10**12, path="/srv/away", host_id=dead))
        for number, (kind, state) in enumerate(TASKS):
            session.add(
                Task(
                    kind=kind, target=f"{number:036d}", target_name=f"t{number}", project_id=web.id, host_id=here,
                    account="x", payload="{}", state=state,
                )
            )  # fmt: skip

    office.services.database.write(fill)
    return names


def _cases(spec: ResourceSpec, role: str) -> Iterator[Action]:
    for action in actions_of(spec, role):
        if action.target is not Target.NOTHING and action.operation in RIGHTS:
            yield action


@pytest.mark.parametrize(("spec", "role"), [seen for seen in SEEN if not seen.values[0].single])
def test_grey_is_what_is_refused(spec: ResourceSpec, role: str, office: Office, varied: dict[str, str]) -> None:
    person = office.sysadm if role == SYSADM else office.person("web-admin")
    wrong = []
    for action in _cases(spec, role):
        for row in person(spec.rows_by)["rows"]:
            arguments = filled(RIGHTS[action.operation].arguments, varied)
            arguments.pop("own_password", None)
            argument = action.argument or spec.argument
            arguments[argument] = [row[spec.reference]] if OPERATIONS[action.operation].many else row[spec.reference]
            came = _attempt(office, person.actor, action.operation, arguments)
            offered = is_allowed(action, row)
            what = f"{action.verb} {row['name']} {row.get('state', '')} {row.get('power', '')}"
            if offered and came.error is not None and (spec.name, action.verb) not in NOT_BY_THE_ROW:
                wrong.append(f"{what}: offered, and refused: {came.error}")
            elif not offered and came.changed:
                wrong.append(f"{what}: greyed, and done")
    assert not wrong, "\n".join(wrong)
