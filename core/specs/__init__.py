"""Nested configuration: what an instance is made of."""
