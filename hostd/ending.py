"""How the process of hostd ends, in bounded time whatever hangs: the next hostd takes everything up.

Parts that end have their own limits; this is for what is left of them. A thread that waits for a libvirtd that hangs
must not keep the process, nor may Python's own end, which joins threads and closes connections that nobody answers.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import threading
from pathlib import Path
from typing import NoReturn

from hostd.log import fields

logger = logging.getLogger("hostd.daemon")

#: Seconds after which what cannot even be told to leave is ended: a call into a library may keep Python from running.
_DEAF = 3.0


def leave(code: int) -> NoReturn:
    """End the process now, with an exit code; what was written and logged is out."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(code)


def leave_within(seconds: float, code: int) -> None:
    """End the process then, unless it has ended by itself; said again, the nearer limit holds.

    Args:
        seconds: from now on.
        code: the exit code. It is 1 where Python does not run any more; then standard error has where each thread is.
    """

    def late() -> None:
        hanging = [thread.name for thread in threading.enumerate() if not thread.daemon]
        logger.warning("leaving without waiting any longer %s", fields(threads=",".join(hanging)))
        leave(code)

    timer = threading.Timer(seconds, late)
    timer.daemon = True
    timer.start()
    # Its clock is a thread without Python. Descriptor 2 may be anything where hostd was given no standard error.
    said = sys.__stderr__ or Path(os.devnull).open("w")  # noqa: SIM115  (kept for the clock)
    faulthandler.dump_traceback_later(seconds + _DEAF, exit=True, file=said)
