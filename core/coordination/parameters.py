"""The parameters that all hosts share, as every hostd reads them."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.model import CloudParameters
from core.rules.parameters import Parameters

#: The id of the one row.
ROW = 1


def read(session: Session) -> Parameters:
    """The parameters now in force; the first values while nobody changed any. One statement."""
    row = session.scalar(select(CloudParameters).where(CloudParameters.id == ROW))
    return Parameters() if row is None else taken(row)


def taken(row: CloudParameters) -> Parameters:
    """The row as a value."""
    return Parameters(**{name: getattr(row, name) for name in Parameters().as_dict()})
