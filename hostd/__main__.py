"""``python -m hostd``."""

from __future__ import annotations

import sys

from hostd.daemon import main

sys.exit(main(sys.argv[1:]))
