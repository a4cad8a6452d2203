"""Who is alive, and whose turn it is: heartbeats, tasks, claims."""
