"""hostd with another sampling interval: ``python -m tests.bench.hostd_at SECONDS``; everything else as it is."""

from __future__ import annotations

import sys

from core.rules.parameters import Parameters
from hostd.lean import lean

lean()

from hostd import runtime, settings  # noqa: E402
from hostd.daemon import run  # noqa: E402

if __name__ == "__main__":
    # Nobody sets parameters in this cloud, so that what it begins with stays.
    first = Parameters(vm_sample_interval=int(float(sys.argv[1])))
    runtime.Parameters = lambda: first  # type: ignore[assignment,misc]
    sys.exit(run(settings.home()))
