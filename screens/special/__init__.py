"""Screens for what is not a list: login, the first run, details with charts, help.

A module is imported when its screen is opened. :data:`SCREENS` is the one list of those that declarations name
(``Action.screen``, ``ResourceSpec.detail_screen``): module and class; each is made from the context, the
declaration and the row.
"""

from __future__ import annotations

from collections.abc import Mapping

SCREENS: Mapping[str, tuple[str, str]] = {
    "host": ("screens.special.host_detail", "HostDetail"),
    "vm": ("screens.special.vm_detail", "VmDetail"),
    "usage": ("screens.special.usage_detail", "UsageDetail"),
    "console-settings": ("screens.special.console_settings", "ConsoleParameters"),
    "console-settings-edit": ("screens.special.console_settings", "EditParameters"),
    "console-settings-test": ("screens.special.console_settings", "TestConnection"),
    "host-history": ("screens.special.host_history", "HostHistory"),
    "prepare": ("screens.special.first_run", "FirstRun"),
}
