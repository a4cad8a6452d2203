"""What may be done with hosts, and when."""

from __future__ import annotations

#: Seconds that a host must have been seen to be silent before it is given up with what is on it: it is not only being
#: rebooted then.
GIVEN_UP_AFTER = 600.0
