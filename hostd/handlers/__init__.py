"""What hostd does for each kind of task. Each may be run again from its start at any time."""
