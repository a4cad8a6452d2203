"""Disk images of volumes, by qemu-img: made, measured, grown, merged.

What an image rests on is said in full to qemu-img (a *layer* for each file of a chain, with its format), so that
nothing is looked for in the files' headers. Passphrases go through a pipe, never among the arguments or in a file.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from core.errors import EngineError
from core.i18n import N_
from hostd import qemu_img
from hostd.merge_progress import MergeProgress

#: Formats whose header may name a file that they rest on.
_LAYERED = ("qcow2", "qcow", "qed", "vmdk")
#: Address space of a qemu-img that opens a chain, bytes: its threads' stacks count here, and a cache for each file.
_MEMORY = 4 * 1024**3
#: Seconds that qemu-img may take with a file, and more for each that is encrypted: LUKS makes a key take 2 s to open.
_SECONDS, _SECONDS_EACH = 60.0, 12.0
#: A conversion that says no progress and writes nothing for so many seconds is given up.
_STALLED = 300.0
#: What a new image takes at once at most, bytes: its tables, and a header with the slots of keys when it is encrypted.
_TABLES, _KEYS = 512 * 1024, 3 * 1024**2
#: How often a conversion is looked at, in seconds.
_LOOK = 0.5
_PROGRESS = re.compile(rb"\((\d+)\.\d+/100%\)")


@dataclass(frozen=True)
class Layer:
    """One file of a chain and what it rests on. ``passphrase`` opens it when it is encrypted (LUKS)."""

    path: str
    format: str
    passphrase: str = ""
    backing: Layer | None = None

    def chain(self) -> Iterator[Layer]:
        """This layer and all below it."""
        layer: Layer | None = self
        while layer is not None:
            yield layer
            layer = layer.backing


@dataclass(frozen=True)
class Size:
    """How large an image is: what its guest sees, and what it takes on the disk. Bytes."""

    capacity: int
    allocation: int


class _Limits(TypedDict):
    seconds: float
    memory: int


class Broken(Exception):
    """Somebody wanted a conversion to end."""


def is_hurried(error: EngineError) -> bool:
    """Whether qemu-img could not tell how many rounds the key of a new image shall take, and is to be asked again.

    It measures a few milliseconds of its own time (QEMU's crypto/pbkdf.c), of which many kernels count none now and
    then: with one in ten new keys, on some machines.
    """
    return "accurate CPU usage" in str(error.parameters.get("reason", ""))


def create(path: Path, layer: Layer, capacity: int, options: Mapping[str, Any]) -> None:
    """Make a new image.

    Args:
        path: where; there is nothing yet.
        layer: its format, passphrase and what it rests on, which must lie in the directory where it will be used.
        capacity: bytes.
        options: ``compat`` and ``lazy_refcounts`` of qcow2.

    Raises:
        EngineError: qemu-img failed.
    """
    luks = layer.format == "raw" and bool(layer.passphrase)
    arguments = ["-f", "luks" if luks else layer.format]
    if layer.backing is not None:
        # A name without a path: where a pool is mounted may change. With "./" no character means a protocol.
        below = layer.backing
        arguments += ["-u", "-F", _driver(below), "-b", f"./{Path(below.path).name}"]
    with _secrets([layer.passphrase]) as (objects, ids, files):
        chosen = _options(layer, options, ids)
        if chosen:
            arguments += ["-o", ",".join(chosen)]
        qemu_img.run("create", "-q", *objects, *arguments, str(path), str(capacity), open_files=files)


def _options(layer: Layer, options: Mapping[str, Any], ids: Mapping[str, str]) -> list[str]:
    chosen = []
    if layer.format == "qcow2":
        if options.get("compat"):
            chosen.append(f"compat={options['compat']}")
        if options.get("lazy_refcounts"):
            chosen.append("lazy_refcounts=on")
    if layer.format == "vpc":
        chosen.append("force_size=on")  # without it the size is rounded to what old BIOSes could address
    if layer.passphrase:
        key = f"key-secret={ids[layer.passphrase]}"
        chosen += [key] if layer.format == "raw" else ["encrypt.format=luks", f"encrypt.{key}"]
    return chosen


def look(layer: Layer) -> Size:
    """How large an image is, read with its stored format.

    Raises:
        EngineError: it is not readable as that format.
    """
    only = Layer(layer.path, layer.format, layer.passphrase)
    text = qemu_img.run("info", "-U", "--output=json", _image(only, {}, opened=False))
    data = json.loads(text)
    return Size(int(data["virtual-size"]), int(data.get("actual-size", 0)))


def open_and_look(layer: Layer) -> Size:
    """As :func:`look`, of an encrypted image that is opened for it: its passphrase is tried.

    Raises:
        EngineError: the passphrase opens nothing, or it is not readable as that format.
    """
    only = Layer(layer.path, layer.format, layer.passphrase)
    with _secrets([layer.passphrase]) as (objects, ids, files):
        # `info` takes any passphrase: it reads no data. `measure` is ready to.
        command = ("measure", "--output=json", *objects, "-O", "raw", _image(only, ids))
        qemu_img.run(*command, open_files=files, **_limits(only))
    return look(layer)


def grow(layer: Layer, capacity: int) -> None:
    """Make an image ``capacity`` bytes large.

    Raises:
        EngineError: a passphrase is another one, or qemu-img failed.
    """
    with _secrets([each.passphrase for each in layer.chain()]) as (objects, ids, files):
        qemu_img.run("resize", "-q", *objects, _image(layer, ids), str(capacity), open_files=files, **_limits(layer))


def seconds_for(layer: Layer) -> float:
    """How long qemu-img may take to look at a chain or to make its top larger."""
    return _SECONDS + _SECONDS_EACH * sum(bool(each.passphrase) for each in layer.chain())


def _limits(layer: Layer) -> _Limits:
    return {"seconds": seconds_for(layer), "memory": _MEMORY}


def room_to_create(layer: Layer) -> int:
    """How many bytes a new image takes at most before anything is written to it."""
    return (0 if layer.format == "raw" else _TABLES) + (_KEYS if layer.passphrase else 0)


def room_for_merge(layer: Layer) -> int:
    """How many bytes a whole image of a chain would take at most.

    Raises:
        EngineError: a passphrase is another one, or qemu-img failed.
    """
    with _secrets([each.passphrase for each in layer.chain()]) as (objects, ids, files):
        command = ("measure", "--output=json", *objects, "-O", "qcow2", _image(layer, ids))
        text = qemu_img.run(*command, open_files=files, **_limits(layer))
    return int(json.loads(text)["required"])


def merge(
    layer: Layer,
    path: Path,
    passphrase: str,
    progress: Callable[[int], None],
    wanted: Callable[[], bool],
    size: int = 0,
) -> None:
    """Write all that a chain shows into one new qcow2 image.

    Args:
        layer: the top of the chain. QEMU's own lock keeps writers away from all of it meanwhile.
        path: the new image; there is nothing yet.
        passphrase: what it is encrypted by; empty: it is not.
        progress: told the percentage, when it is another one.
        wanted: asked now and then whether to go on.
        size: what :func:`room_for_merge` said: by it the opening of keys is weighed against the copying.

    Raises:
        Broken: it was not wanted any more.
        EngineError: qemu-img failed, or stood still.
    """
    target = Layer(str(path), "qcow2", passphrase)
    locked = [each.path for each in layer.chain() if each.passphrase]
    way = MergeProgress(locked, target.path, encrypted=bool(passphrase), size=size)
    with _secrets([passphrase, *(each.passphrase for each in layer.chain())]) as (objects, ids, files):
        chosen = _options(target, {}, ids)
        command = ["convert", "-p", *objects, "-O", "qcow2", *(("-o", ",".join(chosen)) if chosen else ())]
        process = subprocess.Popen(
            [
                *("prlimit", f"--as={_MEMORY}", "--core=0", "nice"),
                # Should hostd die, it must not go on writing to what the next one has thrown away.
                *("setpriv", "--pdeathsig", "KILL"),
                *("qemu-img", *command, _image(layer, ids), str(path)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=qemu_img.environment(),
            pass_fds=files,
        )
        try:
            said = _follow(process, path, way, progress, wanted)
        finally:
            _end(process)
    if process.returncode != 0:
        raise qemu_img.failure(process.returncode, said)


def _follow(
    process: subprocess.Popen[bytes],
    path: Path,
    way: MergeProgress,
    progress: Callable[[int], None],
    wanted: Callable[[], bool],
) -> bytes:
    """Watch a conversion to its end; what it complained of."""
    assert process.stdout is not None
    assert process.stderr is not None
    out, err = process.stdout.fileno(), process.stderr.fileno()
    open_files, said, heard = {out, err}, b"", b""
    before, since = -1, time.monotonic()
    copied, told = 0, -1
    while open_files:
        ready, _, _ = select.select(list(open_files), [], [], _LOOK)
        for file in ready:
            chunk = os.read(file, 65536)
            if not chunk:
                open_files.discard(file)
            elif file == err:
                said = (said + chunk)[-4096:]
            else:
                heard = (heard + chunk)[-256:]
                if found := _PROGRESS.findall(heard):
                    copied = int(found[-1])
        percent = way.copied(copied) if copied else way.opening(process.pid)
        if percent != told:
            told = percent
            progress(percent)
        if not wanted():
            raise Broken
        written = path.stat().st_blocks if path.exists() else 0
        if ready or written != before:
            before, since = written, time.monotonic()
        elif time.monotonic() - since > _STALLED:
            raise EngineError(N_("qemu-img stood still for {seconds} s."), seconds=int(_STALLED))
    process.wait(_STALLED)
    return said


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let go of a process; one that storage holds in the kernel is not waited for."""
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
        try:
            process.wait(5.0)
        except subprocess.TimeoutExpired:
            pass
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def _driver(layer: Layer) -> str:
    return "luks" if layer.format == "raw" and layer.passphrase else layer.format


def _node(layer: Layer, ids: Mapping[str, str], *, opened: bool) -> dict[str, Any]:
    node: dict[str, Any] = {"driver": _driver(layer), "file": {"driver": "file", "filename": layer.path}}
    if layer.passphrase and opened:
        key = {"key-secret": ids[layer.passphrase]}
        if layer.format == "raw":
            node |= key
        else:
            node["encrypt"] = {"format": "luks", **key}
    if layer.format in _LAYERED:
        node["backing"] = _node(layer.backing, ids, opened=opened) if layer.backing is not None else None
    return node


def _image(layer: Layer, ids: Mapping[str, str], *, opened: bool = True) -> str:
    return "json:" + json.dumps(_node(layer, ids, opened=opened))


@contextmanager
def _secrets(passphrases: Sequence[str]) -> Iterator[tuple[list[str], dict[str, str], tuple[int, ...]]]:
    """qemu-img's arguments for passphrases, the id of each, and the descriptors that it reads them from."""
    objects: list[str] = []
    ids: dict[str, str] = {}
    readers: list[int] = []
    try:
        for passphrase in dict.fromkeys(passphrases):
            if passphrase:
                ids[passphrase] = f"key{len(ids)}"
                reader, writer = os.pipe()
                readers.append(reader)
                with os.fdopen(writer, "wb") as pipe:
                    pipe.write(passphrase.encode())  # less than a pipe holds
                objects += ["--object", f"secret,id={ids[passphrase]},file=/dev/fd/{reader}"]
        yield objects, ids, tuple(readers)
    finally:
        for reader in readers:
            os.close(reader)
