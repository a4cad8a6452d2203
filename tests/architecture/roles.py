"""Which kinds of things whoever logs in sees: cases of tests."""

from __future__ import annotations

import pytest

from screens import registry
from screens.spec import PROJECT, SYSADM

CALLERS = {SYSADM: "sysadm", PROJECT: "own"}
#: Every kind of which there is a list, with each role that has it.
SEEN = [
    pytest.param(spec, role, id=f"{spec.name}-{role}")
    for spec in registry.resources()
    for role in (SYSADM, PROJECT)
    if spec.lists_by and role in spec.roles
]
