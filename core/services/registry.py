"""Imports every module that declares operations, so that the table of operations is whole."""

from __future__ import annotations
