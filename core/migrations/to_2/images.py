"""Uploaded images know what arrived, and where."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String

from core.migrations.changes import Changes


def upgrade(change: Changes) -> None:
    """What is there was not uploaded. *Shared* means between VMs, as the manual has it, no more between projects.

    What the others of a group were kept from becomes the group's, as all its images are. Those that several VMs use are
    shared; of the rest one VM keeps what it has, and no second one comes.
    """
    change.columns(
        "image",
        Column("digest", String(64), nullable=False),
        Column("host", String(36), nullable=False),
        Column("received", BigInteger, nullable=False),
        fill={"digest": "", "host": "", "received": 0},
    )
    change.execute(
        "UPDATE image SET shared = :yes WHERE id IN (SELECT image_id FROM instance_image GROUP BY image_id"
        " HAVING COUNT(*) > 1) OR id IN (SELECT u.image_id FROM instance_image u JOIN machine m"
        " ON m.instance_id = u.instance_id GROUP BY u.image_id HAVING COUNT(*) > 1)",
        yes=True,
    )
    unique = change.quoted("unique")
    change.execute(
        f"UPDATE instance SET {unique} = :yes WHERE id IN (SELECT u.instance_id FROM instance_image u"  # noqa: S608 (a word of ours)
        " JOIN image i ON i.id = u.image_id WHERE i.shared = :no)",
        yes=True,
        no=False,
    )
