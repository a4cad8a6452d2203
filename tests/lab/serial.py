"""A guest's serial console, to expect and to type."""

from __future__ import annotations

import re
import threading
import time
from types import TracebackType

import libvirt


class Serial:
    """The serial console of a running VM, read in the background; ``with Serial(url, uuid) as console:``.

    It holds a libvirt connection of its own: libvirtd serves one connection's streams one after another.
    """

    def __init__(self, url: str, uuid: str) -> None:
        """Open the console of the domain ``uuid`` at the libvirtd of ``url``, whoever holds it now."""
        self._connection = libvirt.open(url)
        self._stream = self._connection.newStream(0)
        self._guard = threading.Condition()
        self._text = ""
        self._end: str = ""
        domain = self._connection.lookupByUUIDString(uuid)
        domain.openConsole(None, self._stream, libvirt.VIR_DOMAIN_CONSOLE_FORCE)
        self._reader = threading.Thread(target=self._read, name=f"serial-{uuid[:8]}", daemon=True)
        self._reader.start()

    def __enter__(self) -> Serial:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self) -> None:
        end = "it was closed"
        try:
            while piece := self._stream.recv(4096):
                with self._guard:
                    self._text += piece.decode(errors="replace").replace("\r", "")
                    self._guard.notify_all()
        except libvirt.libvirtError as error:
            end = str(error)
        with self._guard:
            self._end = end
            self._guard.notify_all()

    @property
    def text(self) -> str:
        """What has come and was not expected yet."""
        with self._guard:
            return self._text

    def expect(self, pattern: str, seconds: float = 60.0) -> re.Match[str]:
        """Wait until ``pattern`` (a regular expression) has come; what stands before and in it is used up.

        Raises:
            AssertionError: it does not come, or the console ended; says what came instead.
        """
        give_up = time.monotonic() + seconds
        with self._guard:
            while True:
                match = re.search(pattern, self._text, re.DOTALL)
                if match:
                    self._text = self._text[match.end() :]
                    return match
                left = give_up - time.monotonic()
                if left <= 0 or self._end:
                    why = self._end or f"not within {seconds:g} s"
                    raise AssertionError(f"{pattern!r} on the serial console: {why}; came: {self._text[-600:]!r}")
                self._guard.wait(left)

    def send(self, text: str) -> None:
        """Type."""
        data = text.encode()
        while data:
            data = data[self._stream.send(data) :]

    def shell(self, command: str, seconds: float = 30.0) -> str:
        """Run a command in the guest's shell and return what it printed."""
        # The marks are typed in two halves, so that the echo of the typing is not taken for the answer.
        self.send(f"\necho BEG''IN; {command}; echo EN''D\n")
        return self.expect(r"BEGIN\n(.*?)END\n", seconds)[1]

    def wait_for_shell(self, seconds: float = 90.0) -> None:
        """Wait until the guest answers to typing; what came before is dropped."""
        give_up = time.monotonic() + seconds
        while True:
            try:
                self.shell(":", 2.0)
                return
            except AssertionError:
                if time.monotonic() > give_up or self._end:
                    raise

    def close(self) -> None:
        """Let the console go."""
        try:
            self._stream.abort()
        except libvirt.libvirtError:
            pass
        self._reader.join(5)
        try:
            self._connection.close()
        except libvirt.libvirtError:
            pass
