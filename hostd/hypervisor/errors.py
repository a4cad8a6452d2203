"""libvirt's errors in the words of :mod:`core.errors`."""

from __future__ import annotations

import libvirt

from core.errors import DosvmError, EngineError, HypervisorUnavailable, NotFound
from core.i18n import N_

#: Codes that mean "there is none of that name".
_MISSING = {
    libvirt.VIR_ERR_NO_DOMAIN,
    libvirt.VIR_ERR_NO_STORAGE_VOL,
    libvirt.VIR_ERR_NO_NETWORK,
}
#: Codes that mean "the daemon is gone", wherever they come from.
_GONE = {libvirt.VIR_ERR_NO_CONNECT, libvirt.VIR_ERR_INVALID_CONN}
#: Words of libvirt's for a broken connection, which come under codes that mean other things as well.
_BROKEN = (
    "client socket is closed",
    "Cannot recv data",
    "Cannot write data",
    "End of file while reading",
    "Connection reset",
    "Broken pipe",
    "connection closed",
    "Failed to connect socket",
    "keepalive timeout",
    "received hangup",
)


class Missing(NotFound):
    """libvirt knows no domain, pool or volume of that name."""

    code = "libvirt-missing"


class MissingPool(Missing):
    """libvirt knows no storage pool of that UUID: it was not activated on this host."""

    code = "libvirt-missing-pool"


class MissingSecret(EngineError):
    """libvirt knows no secret of that UUID: it was restarted since it was told, or somebody removed it."""

    code = "libvirt-missing-secret"


class LogDaemonAway(EngineError):
    """virtlogd, which keeps what QEMU prints, does not answer libvirtd; libvirtd itself is well."""

    code = "virtlogd"


class Stuck(EngineError):
    """An earlier call for the same VM has not come back; libvirt is not asked again until it does."""

    code = "stuck"


class TooSlow(EngineError):
    """libvirt did not answer in time; what was asked may still happen."""

    code = "slow"


class Busy(TooSlow):
    """Nothing was free for what was asked: it was not begun, and never will be."""

    code = "busy"


class Underway(TooSlow):
    """Storage did not answer when what cannot be undone had been begun: it may still happen."""

    code = "underway"


def translate(error: libvirt.libvirtError) -> DosvmError:
    """The error that says the same as libvirt's, with libvirt's own sentence in it."""
    code = error.get_error_code()
    message = (error.get_error_message() or str(error)).strip().rstrip(".")
    if code == libvirt.VIR_ERR_NO_STORAGE_POOL:
        return MissingPool(N_("libvirt: {reason}."), reason=message)
    if code == libvirt.VIR_ERR_NO_SECRET:
        return MissingSecret(N_("libvirt: {reason}."), reason=message)
    if code in _MISSING:
        return Missing(N_("libvirt: {reason}."), reason=message)
    from_wire = error.get_error_domain() in (libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE)
    if "virtlogd-sock" in message:
        return LogDaemonAway(
            N_("virtlogd, which libvirt needs to start a VM, does not answer: {reason}."),
            remedy=N_("Start it with `systemctl start virtlogd.socket`, then try again."),
            reason=message,
        )
    if (
        code in _GONE
        or any(sign in message for sign in _BROKEN)
        or (from_wire and code in (libvirt.VIR_ERR_SYSTEM_ERROR, libvirt.VIR_ERR_INTERNAL_ERROR))
    ):
        return HypervisorUnavailable(message)
    if code == libvirt.VIR_ERR_OPERATION_TIMEOUT:
        return TooSlow(
            N_("libvirt: {reason}."),
            remedy=N_("Another request for the same VM is not done yet: repeat it in a minute."),
            reason=message,
        )
    return EngineError(N_("libvirt: {reason}."), reason=message)
