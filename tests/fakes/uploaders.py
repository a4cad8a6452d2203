"""Who uploads images in tests, and what takes them where nothing is DOSVM's own or anybody else's."""

from __future__ import annotations

from pathlib import Path

from core.database import Database
from hostd.handlers.images import ImageTasks
from hostd.uploads import Uploads
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


def uploads_in(database: Database, state: Path, cloud: StillCloud) -> Uploads:
    """What takes the parts of files; ``state`` is hostd's own directory."""
    return Uploads(database, state, cloud=cloud, refuse=lambda _path, _file: None)


def image_tasks(database: Database, state: Path, uploads: Uploads) -> ImageTasks:
    """What works on the files of images, without a sample image; ``state`` is hostd's own directory."""
    return ImageTasks(
        database, state / "none", state, uploads, own=lambda _status: False, refuse_group=lambda _directory: None
    )
