"""An open file is handed to the hostd of the same machine, which copies it by itself: nothing of it is sent.

Beside hostd's socket there is one for this alone. A message is three lines and a descriptor (``SCM_RIGHTS``): the
signature of :mod:`core.rpc.signature` over the second, what is asked for (JSON). So who asks holds the cluster key,
and the file is one that he could open himself, whatever its name is now. hostd answers by lines, each a signature, a
space and JSON: ``{"received": n, "compared": n}`` now and then, at last ``{"ok": ...}`` or ``{"error": ...}``. Who
hangs up takes back what he asked for; what has arrived stays. Standard library only.
"""

from __future__ import annotations

import array
import json
import socket
from collections.abc import Callable
from typing import Any

from core.errors import HostdUnavailable, from_wire
from core.rpc.signature import Signer

#: The socket's name, in the directory of hostd's own.
SOCKET = "files.sock"
#: What is signed as the path of the request.
PATH = "/v1/hand-over"
#: Most bytes of a line.
LINE = 65536
#: Told how far it is: the bytes that are there, and those of them that were compared with the file (0 when that is
#: over); says whether to break off.
Told = Callable[[int, int], bool]
#: Seconds of silence after which the other side counts as gone; hostd says something every second.
SILENCE = 60.0


def hand_over(address: str, signer: Signer, body: dict[str, Any], descriptor: int, told: Told) -> dict[str, Any]:
    """Have hostd copy an open file; returns when it has, or when ``told`` says so.

    Args:
        address: of the socket for files.
        signer: signs with the cluster key.
        body: what is asked for, JSON data.
        descriptor: of the file.
        told: called every second and more often.

    Returns:
        What hostd said at the end; empty when it was broken off.

    Raises:
        HostdUnavailable: nobody is there, or it hung up.
        DosvmError: what the other side says went wrong.
    """
    data = json.dumps(body, ensure_ascii=False).encode()
    header, nonce = signer.sign("POST", PATH, data)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(SILENCE)
            sock.connect(address)
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
            message = b"\n".join((header.encode("latin-1"), data, b""))
            # The descriptor goes with the first byte.
            sent = sock.sendmsg([message], rights)
            if sent < len(message):
                sock.sendall(message[sent:])
            with sock.makefile("rb") as lines:
                while True:
                    line = lines.readline(LINE)
                    signature, _space, payload = line.rstrip(b"\n").partition(b" ")
                    if not line.endswith(b"\n") or not signer.check_answer(signature.decode("latin-1"), nonce, payload):
                        raise HostdUnavailable(address)
                    answer = json.loads(payload)
                    if "error" in answer:
                        raise from_wire(answer["error"])
                    if "ok" in answer:
                        return dict(answer["ok"])
                    if told(int(answer["received"]), int(answer["compared"])):
                        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HostdUnavailable(address) from error
