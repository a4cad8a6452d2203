"""What a host writes of a VM counts only while the VM is its own, under the placement it knows."""

from __future__ import annotations

from functools import partial

import pytest
from sqlalchemy.orm import Session

from core.coordination import states
from core.model import Instance, Machine, Power, Project, State
from tests.unit.coordination.conftest import Ground


@pytest.fixture
def vm(ground: Ground) -> str:
    """The UUID of a VM that is placed on the first host under epoch 5."""

    def work(session: Session) -> str:
        project = Project(name="web")
        session.add(project)
        session.flush()
        instance = Instance(name="shop", project_id=project.id, spec="{}")
        session.add(instance)
        session.flush()
        machine = Machine(
            name="shop-1",
            project_id=project.id,
            instance_id=instance.id,
            host_id=ground.host,
            epoch=5,
            power=Power.ON.value,
            state=State.STARTING.value,
        )
        session.add(machine)
        session.flush()
        return machine.uuid

    return ground.database.write(work)


def state(ground: Ground, vm: str) -> str:
    """The VM's state as it is written."""
    return ground.read(states.of_uuids, [vm])[vm].state


def test_the_host_that_has_it_writes(ground: Ground, vm: str) -> None:
    assert ground.write(states.record, vm, ground.host, 5, {"state": "running", "vnc_port": 5901})
    assert ground.read(states.of_uuids, [vm])[vm].vnc_port == 5901


def test_writing_the_same_again_is_writing(ground: Ground, vm: str) -> None:
    # MariaDB counts changed rows unless told to count found ones; "not mine any more" must not be the answer.
    for _ in range(2):
        assert ground.write(states.record, vm, ground.host, 5, {"state": "running"})


def test_yesterdays_news_change_nothing(ground: Ground, vm: str) -> None:
    assert not ground.write(states.record, vm, ground.host, 4, {"state": "off"})
    assert not ground.write(states.record, vm, ground.other_host, 5, {"state": "off"})
    assert not ground.write(states.record, "another", ground.host, 5, {"state": "off"})
    assert state(ground, vm) == "starting"


def test_two_hosts_write_and_the_one_that_has_it_is_believed(ground: Ground, vm: str) -> None:
    calls = [
        partial(ground.write, states.record, vm, host, 5, {"state": name})
        for host, name in ((ground.host, "running"), (ground.other_host, "failed"))
    ]
    assert ground.at_once(calls) == [True, False]
    assert state(ground, vm) == "running"


def test_a_host_expects_what_is_on_and_what_was_not_off(ground: Ground, vm: str) -> None:
    assert [found.uuid for found in ground.read(states.of_host, ground.host)] == [vm]
    assert ground.read(states.of_host, ground.other_host) == []
    ground.write(states.record, vm, ground.host, 5, {"power": "off"})
    assert [found.uuid for found in ground.read(states.of_host, ground.host)] == [vm]
    ground.write(states.record, vm, ground.host, 5, {"state": "off"})
    assert ground.read(states.of_host, ground.host) == []
