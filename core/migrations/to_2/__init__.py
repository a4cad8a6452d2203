"""From version 1 (the first slice: hosts, projects, storage, VMs, logs) to version 2."""
