"""From an empty machine to a running VM and back, by a person at the keyboard."""

from __future__ import annotations

import re

import pytest

from tests.e2e.conftest import OpenConsole
from tests.e2e.terminal import Terminal
from tests.lab.host import LabHost
from tests.lab.lab import SAMPLE, Lab
from tests.lab.namespaces import wait_until

pytestmark = [pytest.mark.lab, pytest.mark.ui, pytest.mark.timeout(300)]

OWN = "Adm1n-secret-9"
DEMO = "Zha0-secret-9"


def _log_in(terminal: Terminal, account: str, password: str) -> None:
    """Type account and password at the login, wherever the focus is told to be first."""
    terminal.wait_for(r"Account|账号")
    terminal.type(account)
    terminal.press("Enter")
    terminal.type(password)
    terminal.press("Enter")


def _choose(terminal: Terminal, button: str) -> None:
    """Go to a button by Tab and press it."""
    for _ in range(30):
        if f"> {button} <" in terminal.screen:
            terminal.press("Enter")
            return
        terminal.press("Tab")
        terminal.settle()
    raise AssertionError(f"no way to {button} by Tab:\n{terminal.screen}")


def _initialise(machine: Lab) -> str:
    """Make the cloud as a person would, and return the password that init shows."""
    host = machine[0]
    machine.empty()
    said = host.dosvm("init", "--yes").out
    password = re.search(r"\b[a-z2-9]{4}(?:-[a-z2-9]{4}){3}\b", said)
    assert password, said
    settings = host.home / "dosvm.toml"
    settings.write_text(settings.read_text().replace("[config]\n", f'[config]\nsample_image = "{SAMPLE}"\n'))
    host.start_hostd()
    return password[0]


def _first_login(terminal: Terminal, password: str) -> None:
    _log_in(terminal, "sysadm", password)
    terminal.wait_for("Choose a new password")
    for secret in (password, OWN, OWN):
        terminal.type(secret)
        terminal.press("Tab")
    _choose(terminal, "Change password")


def _first_run(terminal: Terminal) -> None:
    terminal.wait_for("This cloud is empty")
    _choose(terminal, "Yes, show me")
    terminal.wait_for("A sample image and instance")
    # Project group, directory, project and account are proposed; passwords are not.
    terminal.press("Tab", "Tab", "Tab", "Tab")
    terminal.type(DEMO)
    terminal.press("Tab")
    terminal.type(DEMO)
    terminal.press("Tab", "Tab", "Tab", "Tab", "Tab", "Tab")
    terminal.type(OWN)
    terminal.press("C-s")
    terminal.wait_for("The sample image is installed", 60)


def _row(terminal: Terminal, name: str) -> str:
    return next((line for line in terminal.screen.splitlines() if name in line), "")


def _wait_for_row(terminal: Terminal, name: str, pattern: str, seconds: float = 20.0) -> str:
    terminal.wait_until(lambda _s: re.search(pattern, _row(terminal, name)), f"{name}: {pattern}", seconds)
    return _row(terminal, name)


def _uuid(host: LabHost) -> str:
    connection = host.libvirt()
    try:
        (domain,) = connection.listAllDomains()
        return str(domain.UUIDString())
    finally:
        connection.close()


def test_from_the_first_login_to_a_guest_that_answers(machine: Lab, console: OpenConsole) -> None:
    host = machine[0]
    password = _initialise(machine)
    terminal = console(host, 80, 24)

    _first_login(terminal, password)
    _first_run(terminal)
    _choose(terminal, "Log in as demo")
    terminal.wait_for(r"Account \*\s+demo")
    terminal.type(DEMO)
    terminal.press("Enter")

    # The project administrator sees the sample VM and switches it on.
    terminal.wait_for(r"\[1 Machines\b")
    _wait_for_row(terminal, "sample-1", "off")
    terminal.press("p")
    terminal.wait_for("> Power on <")
    terminal.press("Enter")
    row = _wait_for_row(terminal, "sample-1", r"running.*\b(?:\d+\.\d+\.\d+\.\d+|a|localhost):59\d\d", 30)
    assert " on " in row
    uuid = _uuid(host)
    assert len(host.qemu_pids(uuid)) == 1

    # The screen address that is shown is where a viewer really finds a screen.
    port = int(re.search(r":(59\d\d)", row)[1])  # type: ignore[index]
    assert host.run(["bash", "-c", f"head -c 3 </dev/tcp/127.0.0.1/{port}"]).out == "RFB"

    # And the guest lives.
    with host.serial(uuid) as serial:
        serial.wait_for_shell()
        assert serial.shell("hostname").strip() == "dosvm-sample"

    _goes_on_in_chinese(terminal)
    _outlives_hostd(terminal, host, uuid)
    _follows_what_happens_outside(terminal, host, uuid)

    terminal.press("C-q")
    wait_until(lambda: terminal.ended, "the console's end", 10)
    assert host.qemu_pids(uuid), "leaving the console stopped the VM"


def _goes_on_in_chinese(terminal: Terminal) -> None:
    terminal.press("F6")
    terminal.wait_for("虚拟机")
    _wait_for_row(terminal, "sample-1", "运行")
    terminal.press("F6")
    terminal.wait_for(r"\[1 Machines\b")
    _wait_for_row(terminal, "sample-1", "running")


def _outlives_hostd(terminal: Terminal, host: LabHost, uuid: str) -> None:
    before = host.qemu_pids(uuid)
    host.kill_hostd()
    terminal.wait_for("hostd does not answer", 20)
    assert "sample-1" in terminal.screen, "what was on the screen is gone"
    assert "Traceback" not in terminal.screen
    host.start_hostd()
    terminal.wait_until_gone("hostd does not answer", 20)
    _wait_for_row(terminal, "sample-1", "running")
    assert host.qemu_pids(uuid) == before


def _follows_what_happens_outside(terminal: Terminal, host: LabHost, uuid: str) -> None:
    host.run(["virsh", "-q", "suspend", uuid])
    _wait_for_row(terminal, "sample-1", "paused", 3)
    host.run(["virsh", "-q", "resume", uuid])
    _wait_for_row(terminal, "sample-1", "running", 3)
    pids = host.qemu_pids(uuid)
    host.run(["virsh", "-q", "destroy", uuid])
    wait_until(lambda: set(host.qemu_pids(uuid)) - set(pids), "the VM's return", 15, host.logs)
    _wait_for_row(terminal, "sample-1", "running", 10)


def test_a_wide_terminal_in_chinese_shows_more(machine: Lab, console: OpenConsole) -> None:
    host = machine[0]
    password = _initialise(machine)
    terminal = console(host, 160, 48)
    terminal.wait_for("Log in with your account")
    terminal.press("F6")
    _log_in(terminal, "sysadm", password)
    terminal.wait_for("新密码|新口令")
    for secret in (password, OWN, OWN):
        terminal.type(secret)
        terminal.press("Tab")
    terminal.press("Enter")
    terminal.wait_for(r"\[1 ")
    terminal.press("Escape")
    terminal.settle()
    terminal.press("4")
    # More columns than fit into 80, the accelerator among them, and the second level of the menu beside.
    screen = terminal.wait_for(r"▸ a +● .* TCG")
    assert "宿主机群" in screen, screen
    assert terminal.size == (160, 48)
