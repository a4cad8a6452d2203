"""The console, driven by keys over a cloud in memory."""
