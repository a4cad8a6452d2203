"""Measurements against the goals, each beside its peer in the same run. They print; they judge nothing."""
