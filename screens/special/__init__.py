"""Screens for what is not a list: login, home, and the like."""
