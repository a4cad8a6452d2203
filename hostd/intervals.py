"""Every limit in time that hostd lives by and that is no parameter of the cloud, in seconds, in one place.

What the system administrator sets (manual 13.2.1) is in :mod:`hostd.runtime`.
"""

from __future__ import annotations

import time

#: Ended tasks that have become old enough to be forgotten are looked for this often.
PRUNE = 3600.0
#: What failed because the database was away is tried again, however long the interval of its parameter.
TRY_AGAIN = 2.0
#: No other heart may move for so long before the database is upgraded; longer where a host said that it beats slower.
STOPPED_AFTER = 8.0
#: A host whose row another run of hostd had, perhaps elsewhere, is watched for so many seconds at most before it is
#: followed; a host that comes back after a failure of power waits for this.
WATCH_MOST = 30.0
#: This host's pools are compared with libvirt's.
POOLS = 60.0
#: What volumes in directories of this host take is measured this often.
ALLOCATIONS = 300.0
#: Looking at the files of a pool; what takes longer is said not to answer.
STORAGE = 10.0
#: What works on files for long and gives no sign of life for so long is given up: the longest is writing out what the
#: kernel had collected of a file. And what is cancelled has this long to end by itself.
STORAGE_SILENT, STORAGE_GRACE = 600.0, 10.0
#: A task that works on storage for longer than this does not keep tasks of other things waiting.
STORAGE_ASIDE = 1.0
#: Who needs a pool waits so long for others that make it ready; what they found wrong a moment ago is not looked for
#: again when a VM is to start, if it took a while: many would wait for the same server one after the other.
STORAGE_TURN, STORAGE_LATELY, STORAGE_SOON = 30.0, 3.0, 1.0
#: A server of storage takes up within this time, or is said not to answer.
STORAGE_SERVER = 5.0
#: A server of CIFS that says nothing is asked whether it is there this often.
STORAGE_ECHO = 10
#: A target that took up lets a host in within this time, or does not.
STORAGE_LOGIN = 30.0
#: Tasks of hosts that are down, which another host can do as well, are looked for.
SUCCESSION = 5.0
#: A port or a directory that could not be used is tried again.
SETTLE_AGAIN = 5.0
#: Whether the directory of temporary files is still the same one is looked at.
SETTLE_LOOK = 60.0
#: A port that was given up is still answered at: until all others have read where the new one is.
LINGER = 10.0
#: A VM that runs this long has proved itself: the pauses before a restart begin anew.
PROVEN = 60.0
#: Shortest and longest pause before a VM that would not start is started again.
RESTART_MIN, RESTART_MAX = 1.0, 300.0
#: Shortest pause before a VM that storage made stand still is resumed; the longest is that of starts.
RESUME_MIN = 10.0

#: A guest has this long to switch itself off when asked to, before it is switched off (manual 11.3).
SHUTDOWN = 60.0

#: Samples that need QEMU's monitor are taken this often, spread: each costs more than a hundred of the others. What a
#: VM that is new has not told yet comes sooner; where it tells nothing at all, it is asked ever more seldom.
SAMPLE_MONITOR, SAMPLE_MONITOR_FIRST = 300.0, 30.0
#: So many seconds for each of the VMs that are found running when hostd starts, until all have been asked once.
SAMPLE_MONITOR_PACE = 0.5

#: Whether the files of images are there is looked at, when no news made hostd look before.
IMAGES = 60.0
#: How far uploads are is told.
UPLOAD_PROGRESS = 2.0
#: What is left of uploads is looked for.
UPLOADS = 600.0
#: What is to leave the trash for good is looked for.
TRASH = 60.0
#: What a task wrote of its VM is taken for what the database says, when news come of what it did.
JUST_WRITTEN = 2.0
#: VMs that maintenance switched off are looked at, when no news made hostd look before.
MAINTENANCE = 5.0

#: A libvirtd that goes on has read by then what it was asked before: a start that was not answered is not to come.
START_SURE = 3.0
#: Of a VM that takes longer to start, those that wait for their turn take no notice.
START_PATIENCE = 10.0

#: A running `wait` looks at tasks of other hosts.
WAIT_POLL = 1.0
#: It lets news of many tasks gather: so long for each of them, and so long at most.
WAIT_CALM_EACH, WAIT_CALM = 0.002, 0.4

#: Calls into libvirt: looking, changing, and what may take long.
LIBVIRT_FAST, LIBVIRT_NORMAL, LIBVIRT_LONG = 10.0, 30.0, 120.0
#: Whether libvirtd takes VMs from other hosts is looked at.
RECEPTION = 30.0
#: A migration that has not converged by then is ended; the VM stays where it is.
MIGRATION = 900.0
#: A host that has a VM's memory and does not answer is waited for this long before the VM starts anew.
MIGRATION_LOST = 120.0
#: libvirtd of the host that a VM comes to is reached in this time, or is said not to answer: a little more than one
#: try takes, which then says why.
MIGRATION_REACH = LIBVIRT_FAST + 2.0
#: A migration under way: whether it is still wanted, and how far it is, is looked at this often.
MIGRATION_LOOK = 0.5
#: A connection to libvirtd that nobody needed for so long is closed: keeping it alive costs both sides. Some stay by
#: the calls of every few seconds, so that a start finds them open.
CONNECTION_IDLE = 15.0
#: libvirt's keepalive: probes this often, and this many may go unanswered.
KEEPALIVE_INTERVAL, KEEPALIVE_COUNT = 3, 3
#: Shortest and longest pause before libvirtd is tried again.
RECONNECT_MIN, RECONNECT_MAX = 0.2, 5.0

#: Clearing logs and histories: one batch keeps other writers waiting about this long.
PURGE_BATCH = 0.015
#: What a death of hostd left in pools' directories is looked for.
LEFTOVERS = 600.0
#: Names that the logs speak of are gathered for searching.
LOG_NAMES = 60.0

#: Who is woken by every piece of news rests after each round: so many times as long as it took, and so long at most.
_RESTS, _LONGEST_REST = 10.0, 0.2


def rest_after(begin: float) -> float:
    """Seconds to rest after a round that began then, by the monotonic clock.

    One piece of news is acted on at once; of a storm of them, what came meanwhile is looked at together.
    """
    return min(_LONGEST_REST, _RESTS * (time.monotonic() - begin))
