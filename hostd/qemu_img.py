"""qemu-img, used as on a stranger's file: format always explicit, limited in time, memory and output.

A disk image is input from users: its header may name any file of the host as backing or data file. Nothing
is probed, and whatever refers elsewhere is refused.
"""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core import image_files
from core.errors import EngineError, InvalidInput
from core.i18n import N_

#: Formats that an image may have.
FORMATS = ("raw", "qcow2", "qcow", "iso")
_MEMORY = 1024**3
_SECONDS = 60.0
#: QEMU counts a plain file in sectors, the last of which need not be whole.
_SECTOR = 512
#: An image as it was said in full to qemu-img, in its complaint; the name of the uppermost file.
_CHAIN = re.compile(r"'json:\{.*?\"filename\": (\"(?:[^\"\\]|\\.)*\").*\}'")
#: What it says of each file of a chain down to the one that is wrong.
_UNOPENED = "Could not open"
#: prlimit's exit status when there is no such program.
_NOT_FOUND = 127


@dataclass(frozen=True)
class ImageInfo:
    """An image that was looked at. Sizes are bytes; ``allocation`` is what it takes on the disk."""

    size: int
    virtual_size: int
    allocation: int


def environment() -> dict[str, str]:
    """What qemu-img is run with: nothing of hostd's own."""
    return {"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), "LC_ALL": "C.UTF-8"}


def run(*arguments: str, seconds: float = _SECONDS, memory: int = _MEMORY, open_files: Sequence[int] = ()) -> str:
    """Run qemu-img under limits of memory, processor and time; what it says.

    Args:
        arguments: qemu-img's.
        seconds: how long it may take, and half of it on the processor.
        memory: bytes of its address space.
        open_files: descriptors that it inherits.

    Raises:
        EngineError: it failed; its last sentence is the reason.
    """
    try:
        done = subprocess.run(
            # By prlimit(1): Python code of our own in a forked child of a daemon with threads may deadlock.
            ["prlimit", f"--as={memory}", f"--cpu={int(seconds / 2)}", "--core=0", "qemu-img", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            env=environment(),
            check=False,
            pass_fds=open_files,
        )
    except FileNotFoundError as error:
        raise EngineError(N_("prlimit is not installed."), remedy=N_("Install the package util-linux.")) from error
    except subprocess.TimeoutExpired as error:
        raise EngineError(N_("qemu-img did not end within {seconds} s."), seconds=int(seconds)) from error
    if done.returncode != 0:
        raise failure(done.returncode, done.stderr)
    return done.stdout.decode(errors="replace")


def failure(status: int, said: bytes) -> EngineError:
    """Why qemu-img failed, by its exit status and its complaints."""
    if status == _NOT_FOUND and (b"prlimit" in said or b"nice" in said):
        return EngineError(N_("qemu-img is not installed."), remedy=N_("Install the package qemu-utils."))
    if status in (-signal.SIGKILL, -signal.SIGXCPU):
        return EngineError(N_("qemu-img was ended: it needed more time of the processor than it may have."))
    lines = said.decode(errors="replace").strip().splitlines()
    reason = lines[-1].removeprefix("qemu-img: ") if lines else f"exit status {status}"
    # Of a chain it names all files, and says of each that it could not: what is wrong comes after thousands of letters.
    reason = _CHAIN.sub(r"\1", reason)
    reason = reason[max(0, reason.rfind(_UNOPENED)) :]
    return EngineError(N_("qemu-img: {reason}"), reason=reason[:500])


def resolve(directory: Path, file: str) -> Path:
    """The true path of a volume's file below its pool's directory.

    Raises:
        InvalidInput: it is missing, not a plain file, or leads out of the directory.
    """
    root = Path(os.path.realpath(directory))
    path = Path(os.path.realpath(root / file))
    if not path.is_relative_to(root) or path == root:
        raise InvalidInput(
            N_("{file} leads out of {directory}."),
            field="file",
            remedy=N_("Copy the file into the directory instead of linking it."),
            file=file,
            directory=str(directory),
        )
    try:
        status = path.stat()
    except OSError as error:
        raise InvalidInput(
            N_("There is no file {file} in {directory}."),
            field="file",
            file=file,
            directory=str(directory),
        ) from error
    if not stat.S_ISREG(status.st_mode):
        raise InvalidInput(N_("{file} is not a plain file."), field="file", file=file)
    return path


def inspect(path: Path, claimed: str, *, name: str = "") -> ImageInfo:
    """Look at an image whose format somebody claims; nobody else may be able to change the file meanwhile.

    Args:
        path: the file.
        claimed: its format: ``raw``, ``qcow2``, ``qcow`` or ``iso`` (which is raw to QEMU).
        name: what people call it; that of the file unless given.

    Raises:
        InvalidInput: it is not of that format, refers to other files, is encrypted by a foreign key, or is absurd.
        EngineError: qemu-img failed.
    """
    if claimed not in FORMATS:
        raise InvalidInput(N_("An image is raw, qcow2, qcow or iso."), field="format")
    name = name or path.name
    with path.open("rb") as file:
        virtual = image_files.read(file.fileno(), name, claimed)
        status = os.fstat(file.fileno())
    if _driver(claimed) == "raw":
        # Plain bytes say nothing about themselves, and each start with a CD would wait for a process to ask them.
        virtual = -(-virtual // _SECTOR) * _SECTOR
        image_files.check_size(name, virtual)
    else:
        _agrees(name, _info(path, _driver(claimed)), virtual)
    return ImageInfo(status.st_size, virtual, status.st_blocks * 512)


def _agrees(name: str, data: dict[str, Any], virtual: int) -> None:
    """Refuse an image in which QEMU sees something else than was read in its head."""
    specific = (data.get("format-specific") or {}).get("data") or {}
    refers = data.get("backing-filename") or data.get("full-backing-filename") or specific.get("data-file")
    if refers or data.get("encrypted") or data.get("virtual-size") != virtual:
        raise InvalidInput(N_("QEMU takes {file} for something else than its header says."), field="file", file=name)


def _driver(image_format: str) -> str:
    """What QEMU calls a format."""
    return image_format if image_format in ("qcow2", "qcow") else "raw"


def _info(path: Path, driver: str) -> dict[str, Any]:
    # -U: a VM that runs from it must not make the look fail. The options are given whole, so that no
    # character of the name is taken for a protocol or an option.
    options = json.dumps({"driver": driver, "file": {"driver": "file", "filename": str(path)}})
    text = run("info", "-U", "--output=json", f"json:{options}")
    try:
        data = json.loads(text)
    except ValueError as error:
        raise EngineError(N_("qemu-img: {reason}"), reason="its answer is not JSON") from error
    return data if isinstance(data, dict) else {}


def create_overlay(path: Path, backing: Path, backing_format: str) -> None:
    """Make a qcow2 file that records the differences to a base which stays untouched."""
    run("create", "-q", "-f", "qcow2", "-F", _driver(backing_format), "-b", str(backing), str(path))
