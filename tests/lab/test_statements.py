"""What an action asks of the database: a number that grows unseen, and that a cloud of a thousand hosts pays for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.rpc.backend import HostdBackend
from core.rpc.client import Client
from core.rpc.signature import Signer, load_key
from tests.lab import statements
from tests.lab.cloud import ZHAO, Cloud
from tests.lab.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

#: The goal is 8. Who adds one knows what for, and says it here: looking at what it is about, changing it, entering the
#: task as begun, the log; hostd's look, the run's account, and the task's end together with the VM's state.
NEEDED = {"start": 8, "suspend": 6, "resume": 6, "stop": 7}


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """A cloud of its own on MariaDB, whose hostd asks as little as it may by itself."""
    lab = Lab(hosts=1, database="mariadb")
    try:
        cloud = Cloud(lab)
        cloud.add_vm("one")
        statements.rest(cloud)
        yield cloud
    finally:
        lab.close()


def test_an_action_takes_few_statements(cloud: Cloud) -> None:
    home = cloud.lab[0].home
    session = HostdBackend(Client(str(home / "hostd.sock"), Signer(load_key(home / "cluster.key"))))
    session.login(*ZHAO)
    rounds = statements.of_actions(cloud, session, 3)
    # Once a minute hostd keeps house, which falls into a round or two: the others tell.
    least = {verb: min(found, key=len) for verb, found in rounds.items()}
    told = "\n".join(f"{verb}: {statement}" for verb, found in least.items() for statement in found)
    assert {verb: len(found) for verb, found in least.items()} == NEEDED, told
