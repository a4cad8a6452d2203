"""Who uploads images in tests."""

from __future__ import annotations

from pathlib import Path

from tests.fakes.cloud import StillCloud
from tests.fakes.office import GIB, Office, Person


def web_with_a_directory(office: Office, cloud: StillCloud, directory: Path) -> Person:
    """The admin of project web, whose group has this directory on the one host there is."""
    admin = office.project("web", max_images=9, max_image_bytes=GIB)
    office.host("h1")
    cloud.me = next(iter(cloud.views.values())).uuid
    office.sysadm("project-group.add", name="here", directory=str(directory))
    office.sysadm("project-group.add-project", project_group="here", project="web")
    return admin
