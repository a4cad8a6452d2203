"""A hostd that is smaller and starts sooner: what is imported for things that hostd never does stays out.

Used by the programs only, as :mod:`dosvm_tui.lean` is; who imports :mod:`hostd.daemon` gets all of it.
``tests/unit/hostd/test_lean.py`` watches that it suffices.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import logging  # noqa: F401  (the parent of what is put off)
import sys
from types import ModuleType

#: Imported everywhere for one function that nobody here calls, or hardly ever: read when first used. With the first
#: come the packages for e-mail, ZIP and CSV, with the second servers of sockets.
_LATER = ("importlib.metadata", "logging.config")
#: glibc's name for how many heaps the threads of a process have (malloc.h), and how many are enough for threads of
#: which one runs at a time. It takes eight for each processor, and what a storm of starts leaves in them stays.
_ARENA_MAX, _ARENAS = -8, 2


def lean() -> None:
    """Put what stands in into place; to be called before :mod:`hostd.daemon` is imported, else it changes nothing."""
    with contextlib.suppress(AttributeError, OSError):  # other C libraries have no such thing
        ctypes.CDLL(None).mallopt(_ARENA_MAX, _ARENAS)
    for name in _LATER:
        _put_off(name)
    # uvicorn's own command line brings click and multiprocessing along.
    _stand_in("uvicorn.main", Server=None, main=None, run=None)
    # Drivers of MariaDB other than ours, and asyncio's around them: SQLAlchemy takes all of them in for their names.
    for driver in ("aiomysql", "asyncmy", "cymysql", "mariadbconnector", "mysqlconnector", "pyodbc"):
        _stand_in(f"sqlalchemy.dialects.mysql.{driver}")


def _put_off(name: str) -> None:
    """Import a module when it is used; ``importlib.util.LazyLoader`` does so at the next import already."""
    if name in sys.modules:
        return
    module = ModuleType(name)

    def load(attribute: str) -> object:
        if sys.modules.get(name) is module:
            del sys.modules[name]
        return getattr(importlib.import_module(name), attribute)

    vars(module)["__getattr__"] = load
    sys.modules[name] = module
    parent, _dot, own = name.rpartition(".")
    setattr(sys.modules[parent], own, module)


def _stand_in(name: str, **contents: object) -> None:
    module = ModuleType(name)
    vars(module).update(contents)
    sys.modules.setdefault(name, module)
