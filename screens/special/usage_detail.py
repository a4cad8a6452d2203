"""What a project uses of each quota, as bars with the figures (manual 7.3.2)."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll

from core.i18n import N_, _
from screens.generic.resource_detail import ResourceDetail
from screens.spec import Kind
from screens.values import show
from widgets.chart import Gauge
from widgets.field_list import FieldList

#: Key of the quota, msgid, kind.
QUOTAS = (
    ("instances", N_("Instances"), Kind.INTEGER),
    ("vcpus", N_("VCPUs"), Kind.INTEGER),
    ("memory", N_("Memory"), Kind.SIZE),
    ("disk", N_("Disk"), Kind.SIZE),
    ("images", N_("Images"), Kind.INTEGER),
    ("image_bytes", N_("Image space"), Kind.SIZE),
    ("snapshots", N_("Snapshots"), Kind.INTEGER),
)


class UsageDetail(ResourceDetail):
    """The quotas of one project."""

    DEFAULT_CSS = """
    UsageDetail #gauges { height: auto; padding: 1 2; }
    UsageDetail Gauge { margin-bottom: 1; }
    UsageDetail FieldList { display: none; }
    """

    def content(self) -> ComposeResult:
        """A bar for each quota."""
        with VerticalScroll(id="gauges"):
            for _key, _title, _kind in QUOTAS:
                yield Gauge(16, 24)
        yield FieldList(id="facts")

    def show_row(self) -> None:
        """Fill the bars."""
        for gauge, (key, title, kind) in zip(self.query(Gauge), QUOTAS, strict=True):
            used, most = self.row.get(f"used_{key}"), self.row.get(f"max_{key}")
            share = used / most if most and used is not None else (None if not used else 2.0)
            of = _(N_("{used} of {most}")).format(used=show(used, kind), most=show(most, kind))
            gauge.set(_(title), share, of)
