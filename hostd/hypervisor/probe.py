"""KVM or TCG: what truly works on this host, found out by running something.

That /dev/kvm exists and libvirt offers it proves little: in some virtual machines guests hang on it. So
QEMU is started with KVM on a boot sector of our own, which leaves QEMU by a debug port within
milliseconds; when it does not come back, VMs of this host run without KVM.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from xml.etree import ElementTree

import libvirt

from core.errors import DosvmError, EngineError
from core.i18n import N_
from hostd import intervals
from hostd.hypervisor.connection import Connection
from hostd.log import fields

logger = logging.getLogger("hostd.hypervisor.probe")

#: Seconds that the boot sector may take; it needs a few hundredths.
PATIENCE = 5.0
#: KVM may take this many times as long as no KVM, and these seconds more, before it counts as broken.
_SLOWER, _GRACE = 3.0, 1.0
#: What it writes to the debug port, and QEMU's exit status for that (QEMU: ``(value << 1) | 1``).
_VALUE, _STATUS = 0x10, 0x21
#: mov dx,0xf4; mov al,VALUE; out dx,al; hlt; jmp to hlt
_CODE = bytes((0xBA, 0xF4, 0x00, 0xB0, _VALUE, 0xEE, 0xF4, 0xEB, 0xFD))


@dataclass(frozen=True)
class Accelerator:
    """``kind`` is ``kvm`` or ``tcg``; ``reason`` is a sentence, empty for KVM."""

    kind: str
    reason: str


class Probe:
    """Finds out once per boot of the machine, in the background."""

    def __init__(self, connection: Connection, state: Path) -> None:
        self._connection = connection
        self._file = state / "accelerator.json"
        self._done = threading.Event()
        self._result: Accelerator | None = None
        self._on_result: list[Callable[[Accelerator], None]] = []

    def on_result(self, hook: Callable[[Accelerator], None]) -> None:
        """Call ``hook(accelerator)`` when it is known."""
        self._on_result.append(hook)

    def start(self) -> None:
        """Begin to find out."""
        threading.Thread(target=self._run, name="probe", daemon=True).start()

    def result(self) -> Accelerator | None:
        """What is known now."""
        return self._result

    def wait(self, seconds: float) -> Accelerator:
        """Wait until it is known.

        Raises:
            EngineError: it takes longer; libvirtd may be away.
        """
        if not self._done.wait(seconds) or self._result is None:
            raise EngineError(
                N_("This host does not know yet whether it has KVM."), remedy=N_("Try again in a moment.")
            )
        return self._result

    def _run(self) -> None:
        while not self._connection.wait(3600):
            pass
        emulator, offered = self._ask()
        found = self._remembered(emulator)
        if found is None:
            found = _find_out(emulator, offered)
            self._remember(emulator, found)
        logger.info("accelerator %s", fields(kind=found.kind, reason=found.reason or None))
        self._result = found
        self._done.set()
        for hook in self._on_result:
            hook(found)

    def _ask(self) -> tuple[str, bool]:
        while True:
            try:
                return self._connection.call(_capabilities, limit=intervals.LIBVIRT_NORMAL)
            except DosvmError as error:
                logger.warning("cannot ask libvirt about KVM %s", fields(reason=error))
                time.sleep(2.0)

    def _key(self, emulator: str) -> dict[str, str]:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        try:
            version = str(os.stat(emulator).st_mtime_ns)
        except OSError:
            version = ""
        return {"boot": boot, "emulator": emulator, "version": version, "device": str(os.path.exists("/dev/kvm"))}

    def _remembered(self, emulator: str) -> Accelerator | None:
        try:
            data = json.loads(self._file.read_text())
            if data["key"] == self._key(emulator):
                return Accelerator(str(data["result"]["kind"]), str(data["result"]["reason"]))
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return None

    def _remember(self, emulator: str, found: Accelerator) -> None:
        temporary = self._file.with_suffix(".new")
        try:
            temporary.write_text(json.dumps({"key": self._key(emulator), "result": asdict(found)}))
            temporary.replace(self._file)
        except OSError as error:
            logger.warning("cannot remember the accelerator %s", fields(file=self._file, reason=error))


def _capabilities(connection: libvirt.virConnect) -> tuple[str, bool]:
    """The emulator for this machine's own architecture, and whether libvirt offers KVM with it."""
    architecture = platform.machine()
    for kind in ("kvm", "qemu"):
        try:
            text = connection.getDomainCapabilities(None, architecture, None, kind)
        except libvirt.libvirtError:
            continue
        path = ElementTree.fromstring(text).findtext("path") or ""
        return path, kind == "kvm"
    return "", False


def _find_out(emulator: str, offered: bool) -> Accelerator:
    if not os.path.exists("/dev/kvm"):
        return Accelerator("tcg", "there is no /dev/kvm: the processor's virtualisation is off or hidden")
    if not offered:
        return Accelerator("tcg", "libvirt's capabilities offer no KVM")
    if platform.machine() != "x86_64":
        return Accelerator("kvm", "")
    return try_kvm(emulator)


def try_kvm(emulator: str, *, patience: float = PATIENCE) -> Accelerator:
    """Run the boot sector under KVM, and compare with how long it takes without."""
    with tempfile.NamedTemporaryFile(prefix="dosvm-probe-") as image:
        image.write(_CODE.ljust(510, b"\0") + b"\x55\xaa")
        image.flush()
        plain = _boot(emulator, "tcg", image.name, patience)
        # A real KVM is as fast as the emulator at worst. One that only pretends (in some virtual machines)
        # is many times slower, and guests hang on it sooner or later.
        allowed = min(patience, _SLOWER * (plain.seconds if not plain.error else 1.0) + _GRACE)
        attempt = _boot(emulator, "kvm", image.name, patience)
        if not attempt.error and attempt.seconds > allowed:
            # The machine may just have been busy with something else.
            again = _boot(emulator, "kvm", image.name, allowed)
            attempt = attempt if again.error else again
    if attempt.error:
        return Accelerator("tcg", attempt.error[:255])
    if attempt.seconds > allowed:
        return Accelerator(
            "tcg",
            f"a test guest took {attempt.seconds:.1f} s with KVM, {plain.seconds:.1f} s without: it is no real KVM",
        )
    return Accelerator("kvm", "")


@dataclass(frozen=True)
class _Attempt:
    seconds: float
    error: str


def _boot(emulator: str, accelerator: str, image: str, patience: float) -> _Attempt:
    # A guest that hangs would outlive a hostd that was killed: it goes when its parent goes.
    command = [
        "setpriv", "--pdeathsig", "KILL", emulator, "-accel", accelerator, "-machine", "pc", "-m", "16",
        "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-device", "isa-debug-exit,iobase=0xf4,iosize=1",
        "-drive", f"if=floppy,format=raw,readonly=on,file={image}",
    ]  # fmt: skip
    begin = time.monotonic()
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    except OSError as error:
        return _Attempt(0.0, f"{emulator} cannot be run: {error.strerror}")
    try:
        _out, errors = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        process.kill()
        try:
            process.communicate(timeout=2.0)
        except subprocess.TimeoutExpired:
            logger.warning("the probe cannot be killed %s", fields(pid=process.pid))
        return _Attempt(patience, f"/dev/kvm exists, but a test guest hung on it for {patience:.0f} s")
    if process.returncode == _STATUS:
        return _Attempt(time.monotonic() - begin, "")
    said = errors.decode(errors="replace").strip().splitlines()
    last = said[-1].removeprefix(f"{emulator}: ") if said else f"exit status {process.returncode}"
    return _Attempt(time.monotonic() - begin, f"KVM failed: {last}")
