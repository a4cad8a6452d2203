"""Widgets and what they are made of, without a cloud."""
