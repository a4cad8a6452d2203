"""A hostd that is smaller and starts sooner: what is imported for things that hostd never does stays out.

Used by the programs only, as :mod:`dosvm_tui.lean` is; who imports :mod:`hostd.daemon` gets all of it.
``tests/unit/hostd/test_lean.py`` watches that it suffices.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import sys
from importlib.machinery import SourceFileLoader
from opcode import opmap
from types import CodeType, ModuleType

#: Imported everywhere for one function that nobody here calls, or hardly ever: read when first used. With it come the
#: packages for e-mail, ZIP and CSV.
_LATER = ("importlib.metadata",)
#: glibc's name for how many heaps the threads of a process have (malloc.h), and how many are enough for threads of
#: which one runs at a time. It takes eight for each processor, and what a storm of starts leaves in them stays.
_ARENA_MAX, _ARENAS = -8, 2
#: What a docstring becomes: not nothing, for SQLAlchemy insists on some. Shorter ones than this are left.
_NO_DOC, _SHORT = "-", 40
#: Of which Python it is known how docstrings lie in compiled code, and that code's marks of a function's.
_KNOWN, _FUNCTION = ((3, 11), (3, 12)), 0x3
_LOAD_CONST, _STORE_NAME, _EXTENDED_ARG = opmap["LOAD_CONST"], opmap["STORE_NAME"], opmap["EXTENDED_ARG"]


def lean() -> None:
    """Put what stands in into place; to be called before :mod:`hostd.daemon` is imported, else it changes nothing."""
    with contextlib.suppress(AttributeError, OSError):  # other C libraries have no such thing
        ctypes.CDLL(None).mallopt(_ARENA_MAX, _ARENAS)
    if sys.version_info[:2] in _KNOWN:
        _leave_out_docs()
    for name in _LATER:
        _put_off(name)
    # uvicorn's own command line brings click and multiprocessing along; pydantic's plugins are sought in every
    # package that is installed, and there are none.
    _stand_in("uvicorn.main", Server=None, main=None, run=None)
    _stand_in("pydantic.plugin._loader", get_plugins=tuple)
    # Drivers of MariaDB other than ours, and asyncio's around them: SQLAlchemy takes all of them in for their names.
    for driver in ("aiomysql", "asyncmy", "cymysql", "mariadbconnector", "mysqlconnector", "pyodbc"):
        _stand_in(f"sqlalchemy.dialects.mysql.{driver}")


def _leave_out_docs() -> None:
    """Import everything from here on without its docstrings, which nobody asks a daemon for: 4 MB of them.

    Python's own ``-OO`` does so by compiling all anew, and leaves out assertions as well.
    """
    read = SourceFileLoader.get_code

    def get_code(self: SourceFileLoader, fullname: str) -> CodeType | None:
        code = read(self, fullname)
        return None if code is None else _without_docs(code)

    SourceFileLoader.get_code = get_code  # type: ignore[assignment,method-assign]


def _without_docs(code: CodeType) -> CodeType:
    consts = list(code.co_consts)
    changed = False
    for place, const in enumerate(consts):
        if isinstance(const, CodeType):
            consts[place] = _without_docs(const)
            changed = changed or consts[place] is not const
    doc = _doc_of(code)
    if doc is not None and len(consts[doc]) >= _SHORT:
        consts[doc] = _NO_DOC
        changed = True
    return code.replace(co_consts=tuple(consts)) if changed else code


def _doc_of(code: CodeType) -> int | None:
    """Where among the constants the docstring is; None when there is none, or its text is used otherwise as well."""
    consts, steps = code.co_consts, code.co_code
    if code.co_flags & _FUNCTION == _FUNCTION:
        # The first constant is a function's docstring, or None; not so of what is compiled to a function, <listcomp>.
        if not consts or not isinstance(consts[0], str) or code.co_name.startswith("<"):
            return None
        return None if _uses(steps, _LOAD_CONST, 0) else 0
    if "__doc__" not in code.co_names:
        return None
    name = code.co_names.index("__doc__")
    for at in range(4, len(steps), 2):
        if steps[at] == _STORE_NAME and steps[at + 1] == name:
            place = steps[at - 1]
            plain = steps[at - 2] == _LOAD_CONST and steps[at - 4] != _EXTENDED_ARG and isinstance(consts[place], str)
            return place if plain and _uses(steps, _LOAD_CONST, place) == 1 else None
    return None


def _uses(steps: bytes, what: int, place: int) -> int:
    """How many instructions of compiled code do ``what`` with ``place``."""
    return sum(1 for at in range(0, len(steps), 2) if steps[at] == what and steps[at + 1] == place)


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
