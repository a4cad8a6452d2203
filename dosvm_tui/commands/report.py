"""An error as the one line on standard error that a failed command leaves."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from core.errors import AlreadyExists, DosvmError, InvalidInput
from dosvm_tui.commands.options import shown_name
from dosvm_tui.commands.output import printable
from screens.spec import Field


def report(error: DosvmError, fields: Sequence[Field] = (), about: str | None = None) -> None:
    """Print the error's sentence, after the option it is about when it is one of ``fields``."""
    parts = ["dosvm"]
    if about:
        parts.append(about)
    if isinstance(error, InvalidInput | AlreadyExists) or type(error) is DosvmError:
        parts += [shown_name(field) for field in fields if field.key == error.field][:1]
    line = ": ".join([*parts, error.text()])
    print(printable(" ".join(line.split())), file=sys.stderr)
