"""Passwords and, later, secrets."""
