"""Every interval and limit in time that hostd lives by, in seconds, in one place.

The system administrator's settings (manual 13.2.1) will replace some of them; until then these hold.
"""

from __future__ import annotations

#: A host says that it lives.
HEARTBEAT = 2.0
#: Heartbeats that may be missed before a host counts as down (manual: default 3).
MISSED = 3
#: How long a counter may stand still, on the watcher's own clock, before its host counts as down: the
#: missed beats, and one more for the time a beat takes to be written and read.
DOWN_AFTER = HEARTBEAT * (MISSED + 1)

#: The executor looks for tasks even when no doorbell rang.
TASK_POLL = 2.0
#: Ended tasks are forgotten after so long; they are looked for this often.
TASKS_KEEP, PRUNE = 30 * 86400.0, 3600.0
#: The reconciler compares everything even when no event came.
RECONCILE = 5.0
#: This host's pools are compared with libvirt's.
POOLS = 60.0
#: A VM that runs this long has proved itself: the pauses before a restart begin anew.
PROVEN = 60.0
#: Shortest and longest pause before a VM that would not start is started again.
RESTART_MIN, RESTART_MAX = 1.0, 300.0

#: A guest has this long to switch itself off when asked to, before it is switched off (manual 11.3).
SHUTDOWN = 60.0

#: Cheap samples of the host, and of its VMs, from /proc.
SAMPLE_HOST = 2.0
SAMPLE = 5.0
#: Samples that need QEMU's monitor, spread over this time.
SAMPLE_MONITOR = 60.0
#: A row of the host's history in the database (manual 13.2.1: 60).
HOST_HISTORY = 60.0
#: How long rows of the host's history are kept.
HOST_HISTORY_KEEP = 30 * 86400.0

#: A running `wait` looks at tasks of other hosts.
WAIT_POLL = 1.0

#: Calls into libvirt: looking, changing, and what may take long.
LIBVIRT_FAST, LIBVIRT_NORMAL, LIBVIRT_LONG = 10.0, 30.0, 120.0
#: libvirt's keepalive: probes this often, and this many may go unanswered.
KEEPALIVE_INTERVAL, KEEPALIVE_COUNT = 3, 3
#: Shortest and longest pause before libvirtd is tried again.
RECONNECT_MIN, RECONNECT_MAX = 0.2, 5.0

#: Clearing logs and histories: one batch keeps other writers waiting about this long.
PURGE_BATCH = 0.015
#: Names that the logs speak of are gathered for searching.
LOG_NAMES = 60.0
