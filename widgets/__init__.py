"""Widgets that know nothing of VMs."""
