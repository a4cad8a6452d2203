"""What a disk of an instance is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.errors import InvalidInput
from core.i18n import N_


def disk(row: Mapping[str, Any]) -> dict[str, InvalidInput]:
    """What is wrong with the source of one disk (keys device, volume, image): key -> why."""
    volume, image = bool(row.get("volume")), bool(row.get("image"))
    if row.get("device") == "cdrom":
        if volume:
            return {"volume": InvalidInput(N_("A CD drive holds an image, not a volume."), field="volume")}
        return {}
    if volume == image:
        text = N_("A disk is a volume or an image: name one of them.")
        return {"volume": InvalidInput(text, field="volume")}
    return {}
