"""The real console in a real terminal, driven by keys alone."""
