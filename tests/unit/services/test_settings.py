"""The parameters of the cloud: exactly the manual's ranges (13.2.1), rules between them, and who lives by them."""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta
from typing import Any

import pytest

from core.coordination import hosts, parameters
from core.coordination.hosts import Load, Settled
from core.errors import Conflict, DosvmError, InvalidInput, NeedsConsent, NotFound
from core.model import HostSample, Task
from core.rules.parameters import Parameters
from tests.fakes.clock import StillClock
from tests.fakes.office import Office

#: The manual's ranges.
MANUAL = {
    "vm_sample_interval": (2, 1800),
    "vm_flush_interval": (4, 1800),
    "host_sample_interval": (5, 1800),
    "host_history_interval": (10, 3600),
    "heartbeat_interval": (2, 300),
    "scheduling_interval": (5, 300),
    "missed_heartbeats": (1, 10),
    "port": (1, 65535),
    "host_history_days": (1, 3650),
    "task_days": (1, 3650),
    "trash_days": (0, 3650),
}
#: What must be greater than what.
CROSS = (("vm_sample_interval", "vm_flush_interval"), ("host_sample_interval", "host_history_interval"))


def now(office: Office) -> Parameters:
    return office.services.database.read(parameters.read)


def test_until_somebody_sets_them_the_first_values_hold(office: Office) -> None:
    shown = office.sysadm("settings.show")
    assert {key: shown[key] for key in ("heartbeat_interval", "missed_heartbeats", "port", "version")} == {
        "heartbeat_interval": 2, "missed_heartbeats": 3, "port": 5555, "version": 0,
    }  # fmt: skip
    assert now(office) == Parameters()
    assert now(office).port is None, "each host's own port must hold until somebody sets one"


@pytest.mark.parametrize("key", MANUAL)
def test_ranges_are_the_manuals(office: Office, key: str) -> None:
    low, high = MANUAL[key]
    room = {
        "vm_flush_interval": 1800,
        "host_history_interval": 3600,
        "vm_sample_interval": 2,
        "host_sample_interval": 5,
    }
    office.sysadm("settings.edit", **room)
    for wrong in (low - 1, high + 1, -1, 2**40):
        with pytest.raises(InvalidInput) as caught:
            office.sysadm("settings.edit", **{key: wrong})
        assert caught.value.field == key
    top = high - 1 if key == "vm_sample_interval" else high
    for right in (top, low):
        assert office.sysadm("settings.edit", **{key: right})[key] == right


@pytest.mark.parametrize(("less", "more"), CROSS)
def test_a_cross_rule_holds_whichever_side_is_changed(office: Office, less: str, more: str) -> None:
    office.sysadm("settings.edit", **{less: 20, more: 40})
    for change in ({more: 20}, {less: 40}, {less: 41}, {less: 50, more: 50}):
        with pytest.raises(InvalidInput) as caught:
            office.sysadm("settings.edit", **change)
        assert caught.value.field == more
    office.sysadm("settings.edit", **{less: 50, more: 51})
    shown = office.sysadm("settings.show")
    assert (shown[less], shown[more]) == (50, 51)


@pytest.mark.parametrize("wrong", ["tmp", "/etc/x", "/srv/../etc", "/", "/srv/\n", "x" * 2000])
def test_a_directory_is_a_path_that_is_not_the_systems(office: Office, wrong: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        office.sysadm("settings.edit", temporary_directory=wrong)
    assert caught.value.field == "temporary_directory"


def test_a_directory_can_be_given_and_taken_back(office: Office) -> None:
    office.sysadm("settings.edit", temporary_directory="/raid//tmp")
    assert now(office).temporary_directory == "/raid//tmp"
    office.sysadm("settings.edit", temporary_directory="")
    assert now(office).temporary_directory == ""


def test_what_changed_is_in_the_log_and_a_stale_form_is_refused(office: Office) -> None:
    seen = office.sysadm("settings.show")["version"]
    office.sysadm("settings.edit", heartbeat_interval=15, version=seen)
    row = office.sysadm("log.list", sort="at", descending=True)["rows"][0]
    assert (row["operation"], row["target"]) == ("settings.edit", "settings")
    assert "heartbeat_interval: 2 → 15" in row["detail"]
    with pytest.raises(Conflict) as caught:
        office.sysadm("settings.edit", heartbeat_interval=20, version=seen)
    assert "Heartbeat every" in caught.value.text()
    assert now(office).heartbeat_interval == 15


def test_two_who_set_the_first_parameter_at_once_do_not_lose_one(office: Office) -> None:
    answers: list[Any] = []

    def change(key: str, value: int) -> None:
        try:
            answers.append(office.sysadm("settings.edit", **{key: value}))
        except DosvmError as error:
            answers.append(error)

    both = [threading.Thread(target=change, args=item) for item in (("task_days", 7), ("trash_days", 9))]
    for one in both:
        one.start()
    for one in both:
        one.join()
    done = [answer for answer in answers if isinstance(answer, dict)]
    assert done
    assert all(isinstance(answer, dict | Conflict) for answer in answers)
    assert now(office).version == len(done)


def test_fewer_days_of_history_and_tasks_are_asked_about_with_what_goes(
    office: Office, clock: StillClock, shanghai: None
) -> None:
    host = office.host("a")
    at = clock.now() - timedelta(days=10)
    load = {"cpu_percent": 1.0, "memory_percent": 1.0, "disk_percent": 1.0, "network_rate": 1.0}
    office.fill(*(HostSample(host_id=host, at=at, **load) for _ in range(3)))
    office.fill(
        Task(
            kind="vm.start", target=str(uuid.uuid4()), target_name="x", host_id=host, account="zhao", state="done",
            created=at, finished=at,
        )
    )  # fmt: skip
    assert office.sysadm("settings.edit", host_history_days=20, task_days=20)["task_days"] == 20, "nothing goes by it"
    with pytest.raises(NeedsConsent) as asked:
        office.sysadm("settings.edit", host_history_days=5, task_days=5)
    told = asked.value.text()
    # The clock of the tests is UTC; who reads it is in Shanghai.
    assert "3 rows of host history before 2026-01-26 20:00 are removed" in told
    assert "1 tasks that ended before 2026-01-26 20:00 are removed" in told
    assert "--lose" in told
    agreed = asked.value.parameters["agreed"]
    for less in ({"host_history_days": 4, "task_days": 5}, {"host_history_days": 5, "task_days": 3}):
        with pytest.raises(NeedsConsent):
            office.sysadm("settings.edit", **less, lose=agreed)
    for nonsense in ({"host_history_days": "x"}, [], "yes", 1):
        with pytest.raises(NeedsConsent):
            office.sysadm("settings.edit", host_history_days=5, lose=nonsense)
    assert office.sysadm("settings.edit", host_history_days=5, task_days=5, lose=agreed)["host_history_days"] == 5


def test_there_is_one_set_only(office: Office) -> None:
    uuid = office.sysadm("settings.show", settings="settings")["uuid"]
    assert office.sysadm("settings.show", settings=uuid)["name"] == "settings"
    with pytest.raises(NotFound):
        office.sysadm("settings.show", settings="other")


def test_hosts_that_do_not_live_by_them_are_named(office: Office) -> None:
    one, two, _down = office.host("h1"), office.host("h2"), office.host("h3", state="down")
    assert office.sysadm("settings.edit", heartbeat_interval=15)["not_taken_over_by"] == ["h1", "h2"]
    database = office.services.database
    lives_by = now(office)
    for host in (one, two):
        database.write(lambda s, h=host: hosts.beat(s, h, "", Load(1, 1, 1, 1), lives_by))  # type: ignore[misc]
    assert office.sysadm("settings.show")["not_taken_over_by"] == []
    wire = '{"code": "engine", "message": "Cannot listen on {port}.", "parameters": {"port": 80}}'
    database.write(lambda s: hosts.record(s, two, Settled(5555, port_error=wire)))
    assert office.sysadm("settings.show")["not_taken_over_by"] == ["h2"]
    assert office.sysadm("host.show", host="h2")["port_error"]["parameters"] == {"port": 80}


def test_hostds_read_them_with_their_heartbeat_and_only_when_they_changed(office: Office) -> None:
    from sqlalchemy import event

    database = office.services.database
    office.host("h1")
    office.sysadm("settings.edit", heartbeat_interval=15)
    lives_by = now(office)
    statements: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    rows, same = database.read(lambda s: hosts.look_around(s, lives_by))
    assert (len(rows), same) == (1, lives_by)
    read = [text for text in statements if text.startswith("SELECT")]
    assert len(read) == 1, read
    office.sysadm("settings.edit", heartbeat_interval=20)
    assert database.read(lambda s: hosts.look_around(s, lives_by))[1].heartbeat_interval == 20


@pytest.mark.parametrize("directory", ["/srv/pools/local", "/srv//pools/local/tmp", "/srv/pools"])
def test_temporary_files_are_kept_apart_from_volumes(office: Office, directory: str) -> None:
    office.host("h1")
    office.sysadm("pool.add", name="local", type="dir", host="h1", path="/srv/pools/local", capacity=1 << 30)
    with pytest.raises(InvalidInput, match="overlaps with the directory of storage pool local") as refused:
        office.sysadm("settings.edit", temporary_directory=directory)
    assert refused.value.field == "temporary_directory"
    assert now(office).temporary_directory == ""


def test_temporary_files_are_kept_apart_from_images(office: Office) -> None:
    office.sysadm("project-group.add", name="acme", directory="/srv/acme")
    with pytest.raises(InvalidInput, match="project group acme") as refused:
        office.sysadm("settings.edit", temporary_directory="/srv/acme/tmp")
    assert refused.value.field == "temporary_directory"


def test_neither_volumes_nor_images_come_to_temporary_files(office: Office) -> None:
    office.host("h1")
    office.sysadm("settings.edit", temporary_directory="/raid//tmp/")
    office.sysadm("settings.edit", temporary_directory="/raid//tmp/vms")
    with pytest.raises(InvalidInput, match="overlaps with the directory of VMs' temporary files") as refused:
        office.sysadm("pool.add", name="local", type="dir", host="h1", path="/raid/tmp/vms/pool", capacity=1 << 30)
    assert refused.value.field == "path"
    with pytest.raises(InvalidInput, match="overlaps with the directory of VMs' temporary files") as also:
        office.sysadm("project-group.add", name="acme", directory="/raid/tmp")
    assert also.value.field == "directory"
    office.sysadm("project-group.add", name="acme", directory="/raid/tmp2")
