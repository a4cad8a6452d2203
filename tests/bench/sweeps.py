"""Ten thousand sweeps of some VMs, as fast as they go: ``python -m tests.bench.sweeps DIRECTORY``.

The collector is hostd's own, and so are the files it writes; only the time is counted by sweeps of ten seconds, and
the processes that are sampled are one that sleeps. Prints, as JSON, the processor's milliseconds of a sweep and the
memory (MiB) after each thousand sweeps.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from hostd.metrics import collector as collector_module
from hostd.metrics import journal, vm
from hostd.metrics.collector import Collector
from hostd.metrics.vm import Run, VmSampler
from hostd.runtime import Runtime

GUESTS, SWEEPS, INTERVAL = 30, 10_000, 10.0


def _memory() -> float:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024


def main(directory: Path) -> None:
    """Sweep."""
    now = [time.time()]
    clock: Any = SimpleNamespace(time=lambda: now[0], monotonic=time.monotonic)
    for module in (vm, journal, collector_module):
        module.time = clock  # type: ignore[attr-defined]
    names = [str(uuid.uuid4()) for _ in range(GUESTS)]
    # One process, so that none is left behind who holds our output open.
    sleeps = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)", *names])
    try:
        for name in names:
            (directory / f"{name}.pid").write_text(str(sleeps.pid))
        collector = Collector(directory, cast(Any, None), Runtime(), directory / "samples")
        collector._vm_sampler = VmSampler(run_directory=directory)
        collector._runs = {name: Run(name, name, 1, 1, ()) for name in names}
        collector._told = set(names)
        memory, used = [], 0.0
        for sweep in range(SWEEPS + 1_000):
            now[0] += INTERVAL
            begin = time.process_time()
            collector._sweep_vms()
            if sweep % 6 == 0:
                collector._flush()
            used += time.process_time() - begin
            if sweep % 1_000 == 999:
                memory.append(_memory())
        print(json.dumps({"sweep": used * 1000 / (SWEEPS + 1_000), "memory": memory}))
    finally:
        sleeps.kill()
        sleeps.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
