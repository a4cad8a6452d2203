"""A set inside a form: names that are picked from a list, one a line, and taken out again."""

from __future__ import annotations

from typing import Any

from widgets.form_field import FormField
from widgets.inputs import Edited, PickWanted
from widgets.rows_input import RowsInput


class MembersInput(RowsInput):
    """Names, and a last line that picks more. ``a``, F4 or Enter there picks, ``d`` or Delete takes one out."""

    def __init__(self, field: FormField) -> None:
        """Make the list of a field; its value is a list of names."""
        super().__init__(field)
        self.moves = False

    def get(self) -> Any:
        """See :meth:`FieldInput.get`."""
        return list(self._rows)

    def state(self) -> Any:
        """See :meth:`FieldInput.state`; the order says nothing."""
        return sorted(map(str, self._rows))

    def add(self, names: list[Any]) -> None:
        """Take in more names, as somebody picked them."""
        self._rows += [name for name in names if name not in self._rows]
        self._at = len(self._rows)
        self._fit()
        self.refresh(layout=True)
        self.post_message(Edited(self.field.key))

    def want(self, index: int) -> None:
        """See :meth:`RowsInput.want`: a name is nothing that could be edited."""
        if index < 0:
            self.post_message(PickWanted(self.field.key))
