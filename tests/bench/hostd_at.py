"""hostd with another sampling interval: ``python -m tests.bench.hostd_at SECONDS``; everything else as it is."""

from __future__ import annotations

import sys

from hostd import intervals

if __name__ == "__main__":
    # Before anything else is imported: it is the default of what is.
    intervals.SAMPLE = float(sys.argv[1])

    from hostd import settings
    from hostd.daemon import run

    sys.exit(run(settings.home()))
