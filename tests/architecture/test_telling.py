"""Whatever operations note in the log has words for people."""

from __future__ import annotations

import uuid

import core.services.registry  # noqa: F401  (the whole table of operations)
from core.errors import DosvmError
from core.services.operation import OPERATIONS
from core.services.reverting import EDITS
from core.specs.instance import InstanceSpec
from screens import telling
from tests.architecture.rights import RIGHTS
from tests.architecture.test_permissions import filled
from tests.architecture.world import World


def test_each_key_of_the_log_has_a_title(world: World) -> None:
    # What takes things away comes last.
    names = sorted(RIGHTS, key=lambda name: ("delete" in name or "purge" in name or "abandon" in name, name))
    actors = {who: world.actor(who) for who in ("sysadm", "own")}
    for name in names:
        who = "sysadm" if "S" in RIGHTS[name].who else "own"
        if OPERATIONS[name].action:
            try:
                arguments = filled(RIGHTS[name].arguments, world.names)
                world.services.call(name, arguments, actors[who], str(uuid.uuid4()))
            except DosvmError:
                continue
    rows = world.services.call("log.list", {"limit": 1000}, actors["sysadm"], "")["rows"]
    assert len({row["operation"] for row in rows}) > 20
    unknown = {
        (row["operation"], key)
        for row in rows
        for part in ("changes", "values")
        for key in row["contents"][part]
        if not telling.knows(row["contents"]["operation"], key)
    }
    assert not unknown
    for row in rows:
        telling.told(row["contents"])


def test_what_changed_of_a_configuration_has_a_title() -> None:
    assert not {key for key in InstanceSpec.names() if not telling.knows("instance.edit", key)}


def test_each_edit_can_be_reverted_or_is_known_not_to_be() -> None:
    edits = {name for name in OPERATIONS if name.endswith((".edit", ".configure"))}
    assert edits == set(EDITS)
    assert set(EDITS.values()) <= set(OPERATIONS)
