"""``python -m hostd``."""

from __future__ import annotations

import sys

from hostd.lean import lean

lean()

from hostd.daemon import main  # noqa: E402
from hostd.ending import leave  # noqa: E402

leave(main(sys.argv[1:]))
