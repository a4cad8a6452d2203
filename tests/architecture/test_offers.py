"""What the console offers for a row is what its service would do; what it dims is refused, or changes nothing."""

from __future__ import annotations

import pytest
from sqlalchemy import update

import core.services.registry  # noqa: F401  (the whole table of operations)
from core.errors import DosvmError
from core.model import Machine, Volume
from screens import registry
from screens.generic.offers import actions_of, is_allowed
from screens.spec import PROJECT, SYSADM, ResourceSpec, Target
from tests.architecture.roles import CALLERS, SEEN
from tests.architecture.world import World
from tests.fakes import rack
from tests.fakes.office import GIB, Office, Person

LISTED = [pytest.param(spec, id=spec.name) for spec in registry.resources() if spec.lists_by]


@pytest.mark.parametrize(("spec", "role"), SEEN)
def test_what_an_action_looks_at_is_in_the_rows(spec: ResourceSpec, role: str, world: World) -> None:
    """A check on a key that no row has would hold for none, without a word."""
    for row in world.services.call(spec.rows_by, {}, world.actor(CALLERS[role]), "")["rows"]:
        for action in actions_of(spec, role):
            for unfit in action.unfit if action.target is not Target.NOTHING else ():
                assert unfit.when(row) in (True, False), action.verb


@pytest.mark.parametrize("spec", LISTED)
def test_what_is_dimmed_says_why(spec: ResourceSpec) -> None:
    for action in spec.actions:
        for unfit in action.unfit:
            assert unfit.why.endswith("."), action.verb


#: What an operation on a volume needs beside it; the last takes the volume away.
VOLUME = {
    "edit": {"description": "x"},
    "give": {"project": "web"},
    "grow": {"capacity": 9 * GIB},
    "snapshot": {"name": "made"},
    "merge": {"name": "merged"},
    "accept": {"format": "raw"},
    "delete": {},
}


def _refused(person: Person, name: str, verb: str) -> bool:
    try:
        person(f"volume.{verb}", volume=f"local/{name}", **VOLUME[verb])
    except DosvmError:
        return True
    return False


@pytest.mark.parametrize("name", ["base", "leaf", "disk", "used", "old", "nobodys", "gone", "running", "branch"])
@pytest.mark.parametrize("role", [SYSADM, PROJECT])
def test_of_a_volume_that_is_offered_which_is_not_refused(name: str, role: str, office: Office) -> None:
    """Grow on what snapshots rest on, Merge on what is no snapshot were always refused, and offered all the same.

    So were both on what a VM uses that is on.
    """
    web = rack.web(office)
    for volume in ("base", "disk", "used", "gone", "running"):
        rack.disk(office, web, volume)
    for snapshot in ("leaf", "branch"):
        web("volume.snapshot", volume="local/base", name=snapshot)
        rack.settle(office)
    web("volume.add", pool="local", name="old", capacity=GIB, format="vmdk")
    office.sysadm("volume.add", pool="local", name="nobodys", capacity=GIB)
    rack.settle(office)
    missing = update(Volume).where(Volume.name == "gone").values(state="missing")
    office.services.database.write(lambda session: session.execute(missing))
    rack.instance(web, "shop", disks=[{"volume": "local/used", "read_only": True, "bus": "virtio"}])
    rack.instance(
        web,
        "mail",
        disks=[{"volume": f"local/{one}", "read_only": True, "bus": "virtio"} for one in ("running", "branch")],
    )
    web("vm.add", name="mail", instance="mail")
    office.services.database.write(lambda session: session.execute(update(Machine).values(power="on")))
    person = web if role == PROJECT else office.sysadm
    actions = {action.verb: action for action in actions_of(registry.resource("volume"), role)}
    for verb in (verb for verb in VOLUME if verb in actions):
        row = next(row for row in person("volume.list")["rows"] if row["name"] == name)
        assert is_allowed(actions[verb], row) is not _refused(person, name, verb), verb
        rack.settle(office)
