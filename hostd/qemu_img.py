"""qemu-img, used as on a stranger's file: format always explicit, limited in time, memory and output.

A disk image is input from users: its header may name any file of the host as backing or data file. Nothing
is probed, and whatever refers elsewhere is refused.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import EngineError, InvalidInput
from core.i18n import N_

#: Formats that an image may have.
FORMATS = ("raw", "qcow2", "qcow", "iso")
#: No disk is larger: 64 TiB.
MAX_VIRTUAL = 64 * 1024**4
_MEMORY = 1024**3
_PROCESSOR_SECONDS = 30
_SECONDS = 60.0
#: QEMU counts a plain file in sectors, the last of which need not be whole.
_SECTOR = 512
#: prlimit's exit status when there is no such program.
_NOT_FOUND = 127


@dataclass(frozen=True)
class ImageInfo:
    """An image that was looked at. Sizes are bytes; ``allocation`` is what it takes on the disk."""

    size: int
    virtual_size: int
    allocation: int


def _run(*arguments: str, seconds: float = _SECONDS, open_files: Sequence[int] = ()) -> str:
    try:
        done = subprocess.run(
            # By prlimit(1): Python code of our own in a forked child of a daemon with threads may deadlock.
            ["prlimit", f"--as={_MEMORY}", f"--cpu={_PROCESSOR_SECONDS}", "--core=0", "qemu-img", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            env={"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), "LC_ALL": "C.UTF-8"},
            check=False,
            pass_fds=open_files,
        )
    except FileNotFoundError as error:
        raise EngineError(N_("prlimit is not installed."), remedy=N_("Install the package util-linux.")) from error
    except subprocess.TimeoutExpired as error:
        raise EngineError(N_("qemu-img did not end within {seconds} s."), seconds=int(seconds)) from error
    if done.returncode == _NOT_FOUND and b"prlimit" in done.stderr:
        raise EngineError(N_("qemu-img is not installed."), remedy=N_("Install the package qemu-utils."))
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        reason = said[-1].removeprefix("qemu-img: ") if said else f"exit status {done.returncode}"
        raise EngineError(N_("qemu-img: {reason}"), reason=reason[:500])
    return done.stdout.decode(errors="replace")


def resolve(directory: Path, file: str) -> Path:
    """The true path of a user's file below a directory.

    Raises:
        InvalidInput: it is missing, not a plain file, or leads out of the directory.
    """
    root = Path(os.path.realpath(directory))
    path = Path(os.path.realpath(root / file))
    if not path.is_relative_to(root) or path == root:
        raise InvalidInput(
            N_("{file} leads out of the group's directory."),
            field="file",
            remedy=N_("Copy the file into the directory instead of linking it."),
            file=file,
        )
    try:
        status = path.stat()
    except OSError as error:
        raise InvalidInput(
            N_("There is no file {file} in {directory}."),
            field="file",
            remedy=N_("Copy the file there first; the directory is that of the project group."),
            file=file,
            directory=str(directory),
        ) from error
    if not stat.S_ISREG(status.st_mode):
        raise InvalidInput(N_("{file} is not a plain file."), field="file", file=file)
    return path


def inspect(path: Path, claimed: str) -> ImageInfo:
    """Look at an image whose format somebody claims.

    Args:
        path: the file.
        claimed: its format: ``raw``, ``qcow2``, ``qcow`` or ``iso`` (which is raw to QEMU).

    Raises:
        InvalidInput: it is not of that format, refers to other files, is encrypted by a foreign key, or is absurd.
        EngineError: qemu-img failed.
    """
    if claimed not in FORMATS:
        raise InvalidInput(N_("An image is raw, qcow2, qcow or iso."), field="format")
    with path.open("rb") as file:
        head = file.read(512)
        file.seek(32768)
        descriptor = file.read(6)
    _check_head(path, claimed, head, descriptor)
    if _driver(claimed) == "raw":
        # Plain bytes say nothing about themselves, and each start with a CD would wait for a process to ask them.
        return _within(path, -(-path.stat().st_size // _SECTOR) * _SECTOR)
    data = _info(path, _driver(claimed))
    specific = (data.get("format-specific") or {}).get("data") or {}
    if data.get("backing-filename") or data.get("full-backing-filename"):
        raise InvalidInput(
            N_("{file} is only the difference to another image ({other})."),
            field="file",
            remedy=N_("Flatten it with `qemu-img convert` first."),
            file=path.name,
            other=str(data.get("backing-filename")),
        )
    if specific.get("data-file"):
        raise InvalidInput(
            N_("{file} keeps its data in another file."),
            field="file",
            remedy=N_("Flatten it with `qemu-img convert` first."),
            file=path.name,
        )
    if data.get("encrypted"):
        raise InvalidInput(N_("{file} is encrypted."), field="file", file=path.name)
    if specific.get("corrupt"):
        raise InvalidInput(N_("{file} is marked as corrupt."), field="file", file=path.name)
    return _within(path, int(data.get("virtual-size", 0)))


def _within(path: Path, virtual: int) -> ImageInfo:
    if not 0 < virtual <= MAX_VIRTUAL:
        raise InvalidInput(N_("{file} claims a disk of {size} bytes."), field="file", file=path.name, size=virtual)
    status = path.stat()
    return ImageInfo(status.st_size, virtual, status.st_blocks * 512)


def _check_head(path: Path, claimed: str, head: bytes, descriptor: bytes) -> None:
    """The first bytes must fit the claim: a qcow2 that is passed off as raw would show its header to the guest."""
    if not head:
        raise InvalidInput(N_("{file} is empty."), field="file", file=path.name)
    # qcow and qcow2 share their sign; the version after it tells them apart.
    qcow = int.from_bytes(head[4:8], "big") if head.startswith(b"QFI\xfb") else 0
    if claimed == "qcow2" and qcow not in (2, 3):
        raise InvalidInput(N_("{file} is not a qcow2 image."), field="format", file=path.name)
    if claimed == "qcow" and qcow != 1:
        raise InvalidInput(N_("{file} is not a qcow image."), field="format", file=path.name)
    foreign = (b"QFI\xfb", b"KDMV", b"COWD", b"conectix", b"vhdxfile", b"QED\0", b"# Disk Desc")
    if _driver(claimed) == "raw" and head.startswith(foreign):
        raise InvalidInput(
            N_("{file} is not a raw image."),
            field="format",
            remedy=N_("Say its true format, or convert it with `qemu-img convert`."),
            file=path.name,
        )
    if claimed == "iso" and descriptor[1:6] not in (b"CD001", b"BEA01"):
        raise InvalidInput(N_("{file} is not an ISO image of a CD or DVD."), field="format", file=path.name)


def _driver(image_format: str) -> str:
    """What QEMU calls a format."""
    return image_format if image_format in ("qcow2", "qcow") else "raw"


def _info(path: Path, driver: str) -> dict[str, Any]:
    # -U: a VM that runs from it must not make the look fail. The options are given whole, so that no
    # character of the name is taken for a protocol or an option.
    options = json.dumps({"driver": driver, "file": {"driver": "file", "filename": str(path)}})
    text = _run("info", "-U", "--output=json", f"json:{options}")
    try:
        data = json.loads(text)
    except ValueError as error:
        raise EngineError(N_("qemu-img: {reason}"), reason="its answer is not JSON") from error
    return data if isinstance(data, dict) else {}


def create_overlay(path: Path, backing: Path, backing_format: str) -> None:
    """Make a qcow2 file that records the differences to a base which stays untouched."""
    _run("create", "-q", "-f", "qcow2", "-F", _driver(backing_format), "-b", str(backing), str(path))


def grow_encrypted(path: Path, volume_format: str, capacity: int, passphrase: str) -> None:
    """Grow a volume that is encrypted by LUKS to ``capacity`` bytes; libvirt knows its secret no longer.

    Args:
        path: the file.
        volume_format: ``qcow2`` or ``raw``.
        capacity: its new size, bytes.
        passphrase: what opens it; handed over by a pipe, never among the arguments or in a file.

    Raises:
        EngineError: the passphrase is another one, or qemu-img failed.
    """
    key = {"key-secret": "key"}
    driver = (
        {"driver": "luks", **key}
        if volume_format == "raw"
        else {"driver": "qcow2", "encrypt": {"format": "luks", **key}}
    )
    image = json.dumps({**driver, "file": {"driver": "file", "filename": str(path)}})
    reader, writer = os.pipe()
    try:
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(passphrase.encode())  # less than a pipe holds
        secret = f"secret,id=key,file=/dev/fd/{reader}"
        _run("resize", "-q", "--object", secret, f"json:{image}", str(capacity), open_files=(reader,))
    finally:
        os.close(reader)
