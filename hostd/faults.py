"""Places where hostd can be made to die, for the tests that prove that it may die anywhere.

``HOSTD_CRASH_AT=after_create`` kills the process with SIGKILL the first time it comes by;
``HOSTD_CRASH_AT=after_create:3`` the third time. Without the variable a point costs one comparison.
"""

from __future__ import annotations

import os
import signal
import threading

#: Every point there is, in the order a start passes them; tests enumerate this.
POINTS = (
    "claimed",
    "loaded",
    "prepared",
    "before_create",
    "after_create",
    "after_record",
    "before_stop",
    "after_stop",
    "before_move",
    "moving",
    "after_move",
    "after_hand_over",
    "before_arrival",
    "before_volume",
    "volume_made",
    "after_volume",
    "before_removal",
    "after_removal",
    "merging",
    "before_pool",
    "after_pool",
    "before_image",
    "after_image",
    "upload_begun",
    "upload_part",
    "upload_whole",
    "upload_linked",
    "purge_batch",
    "before_finish",
    "finished",
)

_guard = threading.Lock()
_name, _, _count = os.environ.get("HOSTD_CRASH_AT", "").partition(":")
_left = int(_count) if _count.isdigit() else 1


def point(name: str) -> None:
    """Pass a named point; the process ends here when it was asked to."""
    global _left
    if name != _name:
        return
    assert name in POINTS
    with _guard:
        _left -= 1
        if _left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
            signal.pause()
