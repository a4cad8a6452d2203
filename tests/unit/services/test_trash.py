"""What is deleted waits in the trash: nobody finds it, and it comes back whole."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import event, select, update
from sqlalchemy.orm import Session

from core.errors import AuthenticationFailed, Conflict, InUse, NeedsConsent, NotFound, PermissionDenied, Refused
from core.model import (
    Host,
    Image,
    Instance,
    Machine,
    Project,
    ProjectGroup,
    Secret,
    Task,
    TaskState,
    User,
    Volume,
    instance_image,
)
from core.services.dismantling import AGAIN, dismantle
from core.services.sessions import Sessions
from hostd.trash import Trash
from tests.architecture.world import furnish
from tests.fakes.clock import StillClock
from tests.fakes.office import PASSWORD, Office


@pytest.fixture
def furnished(office: Office) -> Office:
    """Projects ``web`` and ``shop``, each with one of everything."""
    furnish(office)
    return office


def read(office: Office, statement: Any) -> list[Any]:
    return list(office.services.database.read(lambda session: session.scalars(statement).all()))


def write(office: Office, statement: Any) -> None:
    office.services.database.write(lambda session: session.execute(statement))


def running(vm: str) -> Any:
    """The statement that makes a VM run."""
    host = select(Host.id).order_by(Host.id).limit(1).scalar_subquery()
    return update(Machine).where(Machine.name == vm).values(power="on", state="running", host_id=host)


def end_tasks(office: Office, state: str = "done") -> list[str]:
    """End all open tasks as their hosts would; what was to be deleted is gone then."""

    def work(session: Session) -> list[str]:
        kinds = []
        for task in session.scalars(select(Task).where(Task.state == TaskState.QUEUED.value).order_by(Task.id)):
            task.state, task.finished = state, office.services.clock.now()
            kinds.append(task.kind)
            if state == "done":
                table = {"volume.delete": Volume, "image.delete": Image}.get(task.kind)
                for row in session.scalars(select(table).where(table.uuid == task.target)) if table else ():
                    session.delete(row)
                if task.kind == "machine.stop":
                    session.execute(update(Machine).where(Machine.uuid == task.target).values(state="off"))
        return kinds

    return office.services.database.write(work)


def go_on(office: Office) -> None:
    """What hostd does once a minute."""
    for project in read(office, select(Project.id).where(Project.purging)):
        office.services.duty(partial(dismantle, project_id=project))


def test_a_deleted_user_cannot_log_in_and_is_found_nowhere(office: Office, sessions: Sessions) -> None:
    office.project("web", admin="zhao")
    token, _row = sessions.login("zhao", PASSWORD, "192.0.2.7")
    office.sysadm("user.delete", user="zhao", own_password=PASSWORD)
    assert office.sysadm.names("user.list") == []
    assert office.sysadm("user.list")["total"] == 0
    assert office.sysadm("project.show", project="web")["admins"] == []
    with pytest.raises(NotFound):
        office.sysadm("user.show", user="zhao")
    with pytest.raises(AuthenticationFailed):
        sessions.authenticate_token(token, "192.0.2.7")
    with pytest.raises(AuthenticationFailed):
        sessions.login("zhao", PASSWORD, "192.0.2.7")


def test_a_restored_user_is_as_before(office: Office, sessions: Sessions) -> None:
    office.project("web", admin="zhao")
    office.sysadm("user.edit", user="zhao", phone="123")
    office.sysadm("user.delete", user="zhao", own_password=PASSWORD)
    (row,) = office.sysadm("trash.list")["rows"]
    assert (row["name"], row["kind"], row["account"], row["state"]) == ("zhao", "user", "sysadm", "restorable")
    office.sysadm("trash.restore", trash="zhao")
    user = office.sysadm("user.show", user="zhao")
    assert (user["project"], user["phone"]) == ("web", "123")
    sessions.login("zhao", PASSWORD, "192.0.2.7")
    assert office.sysadm("trash.list")["rows"] == []


def test_a_name_is_free_while_its_owner_is_in_the_trash_and_then_a_new_one_is_needed(office: Office) -> None:
    office.project("web", admin="zhao")
    office.sysadm("user.delete", user="zhao", own_password=PASSWORD)
    office.user("zhao")
    with pytest.raises(Refused, match=r"zhao is taken.*another name"):
        office.sysadm("trash.restore", trash="zhao")
    office.sysadm("trash.restore", trash="zhao", name="zhao-2")
    assert office.sysadm("user.show", user="zhao-2")["project"] == "web"
    office.sysadm("user.delete", user="zhao", own_password=PASSWORD)
    office.sysadm("user.delete", user="zhao-2", own_password=PASSWORD)
    office.user("zhao")
    office.sysadm("user.delete", user="zhao", own_password=PASSWORD)
    with pytest.raises(NotFound, match="Several"):
        office.sysadm("trash.restore", trash="zhao")


def test_a_host_group_comes_back_with_its_hosts(office: Office) -> None:
    office.host("server185")
    office.sysadm("host-group.add", name="fast", hosts=["server185"])
    office.sysadm("host-group.delete", host_group="fast")
    assert office.sysadm.names("host-group.list") == []
    with pytest.raises(NotFound):
        office.sysadm("host-group.edit", host_group="fast", description="x")
    office.sysadm("trash.restore", trash="fast")
    assert office.sysadm("host-group.show", host_group="fast")["hosts"] == ["server185"]


def test_a_project_that_is_not_empty_says_all_that_hangs_on_it(furnished: Office) -> None:
    with pytest.raises(InUse) as refused:
        furnished.sysadm("project.delete", project="web")
    text = refused.value.text()
    for word in ("web-vm", "web-instance", "web-pool/web-disk", "3 MiB", "web-image", "web-admin", "frozen"):
        assert word in text
    contents = furnished.sysadm("project.contents", project="web")
    assert contents["vms"] == [{"name": "web-vm", "on": False}]
    volumes = ("web-base", "web-disk", "web-snapshot")
    assert contents["volumes"] == [{"reference": f"web-pool/{name}", "capacity": 2**20} for name in volumes]
    assert contents["secrets"] == ["web-secret"]
    assert len(contents["lines"]) == 6
    assert furnished.sysadm("project.show", project="web")["name"] == "web"


def test_nothing_of_a_project_in_the_trash_is_seen_or_used(furnished: Office) -> None:
    sysadm = furnished.sysadm
    lists = ("vm.list", "instance.list", "volume.list", "image.list")
    others = {
        name: [row["name"] for row in sysadm(name)["rows"] if not row["name"].startswith("web")] for name in lists
    }
    sysadm("project.delete", project="web", everything=True)
    for name in lists:
        assert sysadm.names(name) == others[name]
        assert sysadm(name)["total"] == len(others[name]), name
    assert "web" not in sysadm.names("project.list")
    assert "web" not in sysadm.names("usage.list")
    assert sysadm("project-group.show", project_group="web-group")["projects"] == []
    assert sysadm("pool.show", pool="web-pool")["projects"] == []
    for operation, argument in (("vm.show", "vm"), ("instance.show", "instance"), ("image.show", "image")):
        with pytest.raises(NotFound):
            sysadm(operation, **{argument: f"web-{argument}"})
    with pytest.raises(NotFound):
        sysadm("volume.delete", volume="web-pool/web-disk")
    with pytest.raises(PermissionDenied, match="no project"):
        furnished.person("web-admin")("vm.list")


def test_what_a_project_in_the_trash_needs_cannot_be_deleted(furnished: Office) -> None:
    sysadm = furnished.sysadm
    sysadm("project.delete", project="web", everything=True)
    for operation, arguments in (
        ("pool.delete", {"pool": "web-pool"}),
        ("project-group.delete", {"project_group": "web-group"}),
    ):
        with pytest.raises(Refused, match="web, which is in the trash"):
            sysadm(operation, **arguments)


def test_a_restored_project_is_whole_again_with_its_vms_off(furnished: Office) -> None:
    sysadm = furnished.sysadm
    row = sysadm("project.show", project="web")
    write(furnished, running("web-vm"))
    answer = sysadm("project.delete", project="web", everything=True)
    assert len(answer["tasks"]) == 1
    assert end_tasks(furnished) == ["machine.stop"]
    sysadm("trash.restore", trash="web")
    after = sysadm("project.show", project="web")
    assert {k: v for k, v in after.items() if k != "version"} == {k: v for k, v in row.items() if k != "version"}
    vm = furnished.person("web-admin")("vm.show", vm="web-vm")
    assert (vm["power"], vm["state"]) == ("off", "off")
    assert furnished.person("web-admin")("volume.show", volume="web-pool/web-disk")["instances"] == ["web-instance"]


def test_an_admin_who_found_another_project_meanwhile_stays_there(furnished: Office) -> None:
    sysadm = furnished.sysadm
    sysadm("project.delete", project="web", everything=True)
    sysadm("project.configure", project="shop", add_admins=["web-admin"])
    sysadm("trash.restore", trash="web")
    assert sysadm("user.show", user="web-admin")["project"] == "shop"
    assert sysadm("project.show", project="web")["admins"] == ["frozen", "newcomer"]


def test_deleted_for_good_a_project_takes_its_files_along(furnished: Office, clock: StillClock) -> None:
    sysadm = furnished.sysadm
    write(furnished, running("web-vm"))
    sysadm("project.delete", project="web", everything=True)
    end_tasks(furnished, "failed")  # the guest did not stop
    sysadm("trash.purge", trash="web")
    with pytest.raises(Refused, match="deleted for good"):
        sysadm("trash.restore", trash="web")
    assert end_tasks(furnished) == ["machine.stop"]
    go_on(furnished)
    go_on(furnished)  # asked twice, ordered once
    # What a snapshot rests on waits for the snapshot.
    assert sorted(end_tasks(furnished)) == ["image.delete", "volume.delete", "volume.delete"]
    go_on(furnished)
    assert end_tasks(furnished) == ["volume.delete"]
    go_on(furnished)
    assert read(furnished, select(Project.trash_name).where(Project.deleted.is_not(None))) == []
    for table in (Volume, Image, Instance, Machine):
        assert not [n for n in read(furnished, select(table.name)) if n.startswith("web")]
    assert "shop" in sysadm.names("project.list")
    sysadm("project-group.delete", project_group="web-group")


def test_a_file_that_cannot_be_deleted_is_tried_again_later(furnished: Office, clock: StillClock) -> None:
    furnished.sysadm("project.delete", project="web", everything=True)
    furnished.sysadm("trash.purge", trash="web")
    failed = end_tasks(furnished, "failed")
    assert failed
    go_on(furnished)
    assert end_tasks(furnished) == []
    clock.advance(AGAIN.total_seconds() + 1)
    go_on(furnished)
    assert end_tasks(furnished) == failed
    for _ in range(4):  # what rests on others goes before these
        go_on(furnished)
        end_tasks(furnished)
    assert "web" not in furnished.sysadm.names("trash.list")


def test_an_image_that_others_use_keeps_its_project(furnished: Office) -> None:
    def use(session: Session) -> None:
        image = session.scalars(select(Image.id).where(Image.name == "web-image")).one()
        shop = session.scalars(select(Instance.id).where(Instance.name == "shop-instance")).one()
        session.execute(instance_image.insert().values(instance_id=shop, image_id=image))

    furnished.services.database.write(use)
    with pytest.raises(InUse, match=r"web-image \(shop-instance\)"):
        furnished.sysadm("project.delete", project="web", everything=True)


def test_its_time_is_over_after_some_days(office: Office, clock: StillClock) -> None:
    from core.services.trash import overdue

    office.user("zhao")
    office.sysadm("user.delete", user="zhao", own_password=PASSWORD)
    clock.advance(timedelta(days=29).total_seconds())
    assert office.services.reading(overdue) == []
    clock.advance(timedelta(days=2).total_seconds())
    ((uuid, _deleted),) = office.services.reading(overdue)
    office.sysadm("trash.purge", trash=uuid)
    assert read(office, select(User.account)) == ["sysadm"]


def test_deleting_is_in_the_log_with_its_end(furnished: Office) -> None:
    furnished.sysadm("project.delete", project="web", everything=True)
    furnished.sysadm("trash.restore", trash="web")
    furnished.sysadm("project.delete", project="web", everything=True)
    furnished.sysadm("trash.purge", trash="web")
    rows = furnished.sysadm("log.list", search="web", sort="at")["rows"]
    told = [row["operation"] for row in rows if row["target"] == "web" and "configure" not in row["operation"]]
    assert told[-4:] == ["project.delete", "trash.restore", "project.delete", "trash.purge"]


def test_a_group_of_projects_is_not_empty_for_what_is_in_the_trash(furnished: Office) -> None:
    furnished.sysadm("project.delete", project="web", everything=True)
    assert read(furnished, select(ProjectGroup.name).where(ProjectGroup.name == "web-group")) == ["web-group"]
    with pytest.raises(Refused):
        furnished.sysadm("project-group.delete", project_group="web-group")


def test_a_secret_comes_back_with_its_usage(office: Office) -> None:
    values = {"display_name": "盘", "kind": "volume", "usage": "disks/web", "value": "correct horse battery"}
    office.sysadm("secret.add", name="key", **values)
    office.sysadm("secret.delete", secret="key")
    assert office.sysadm.names("secret.list") == []
    office.sysadm("secret.add", name="other", **values)
    with pytest.raises(Refused, match=r"The usage disks/web is taken. Give the secret that has it another usage first"):
        office.sysadm("trash.restore", trash="key")
    office.sysadm("secret.edit", secret="other", usage="disks/mail")
    office.sysadm("trash.restore", trash="key")
    assert office.sysadm("secret.show", secret="key")["usage"] == "disks/web"


def test_without_a_trash_what_is_deleted_is_gone(office: Office) -> None:
    office.sysadm("settings.edit", trash_days=0)
    office.project("web", admin="zhao")
    office.sysadm("user.delete", user="zhao", own_password=PASSWORD)
    office.sysadm("project.delete", project="web")
    go_on(office)
    assert read(office, select(User.account)) == ["sysadm"]
    assert read(office, select(Project.name)) == []


def test_fewer_days_of_the_trash_take_nothing_away_unasked(office: Office, clock: StillClock) -> None:
    office.project("web", admin="zhao")
    office.sysadm("user.delete", user="zhao", own_password=PASSWORD)
    office.sysadm("project.delete", project="web")
    clock.advance(60)
    office.sysadm("settings.edit", trash_days=1)
    with pytest.raises(
        NeedsConsent, match=r"From the trash 2 deleted before [-0-9]+ [0-9:]+ go for good: web, zhao; with pro"
    ) as asked:
        office.sysadm("settings.edit", trash_days=0)
    assert (asked.value.field, asked.value.parameters["argument"]) == ("trash_days", "lose")
    Trash(office.services).look()
    assert sorted(office.sysadm.names("trash.list")) == ["web", "zhao"]
    # A yes covers what was asked about, not what was deleted since.
    office.user("late")
    office.sysadm("user.delete", user="late", own_password=PASSWORD)
    with pytest.raises(NeedsConsent, match="From the trash 3 "):
        office.sysadm("settings.edit", trash_days=0, lose=asked.value.parameters["agreed"])
    with pytest.raises(NeedsConsent) as again:
        office.sysadm("settings.edit", trash_days=0)
    office.sysadm("settings.edit", trash_days=0, lose=again.value.parameters["agreed"])
    Trash(office.services).look()
    assert office.sysadm.names("trash.list") == []


def test_who_is_restored_before_the_project_manages_nothing_until_it_is_back(
    furnished: Office, sessions: Sessions
) -> None:
    sysadm = furnished.sysadm
    sysadm("user.delete", user="web-admin", own_password=PASSWORD)
    sysadm("project.delete", project="web", everything=True)
    sysadm("trash.restore", trash="web-admin")
    admin = furnished.person("web-admin")
    with pytest.raises(PermissionDenied, match="no project"):
        admin("vm.list")
    token, _row = sessions.login("web-admin", PASSWORD, "192.0.2.7")
    assert sessions.authenticate_token(token, "192.0.2.7").project_id is None
    sysadm("trash.restore", trash="web")
    assert sysadm("user.show", user="web-admin")["project"] == "web"
    assert admin.names("vm.list") == ["web-vm"]


def test_a_new_user_is_no_heir_of_one_who_is_gone_for_good(office: Office) -> None:
    office.project("web", admin="zhao")
    office.sysadm("project.delete", project="web", everything=True)
    office.sysadm("user.delete", user="zhao", own_password=PASSWORD)
    office.sysadm("trash.purge", trash="zhao")
    office.user("qian")  # SQLite gives numbers of the newest rows again
    office.sysadm("trash.restore", trash="web")
    assert office.sysadm("user.show", user="qian")["project"] == ""


def test_a_secret_is_needed_by_the_volumes_of_a_project_in_the_trash(furnished: Office) -> None:
    sysadm = furnished.sysadm
    sysadm("secret.add", name="key", display_name="K", kind="volume", usage="key", value="correct horse")
    secret = select(Secret.id).where(Secret.name == "key").scalar_subquery()
    write(furnished, update(Volume).where(Volume.name == "web-disk").values(secret_id=secret))
    sysadm("project.delete", project="web", everything=True)
    with pytest.raises(Refused, match=r"key.*project web.*trash"):
        sysadm("secret.delete", secret="key")
    with pytest.raises(Refused, match=r"key.*project web.*trash"):
        sysadm("secret.edit", secret="key", value="another horse")
    assert "key" in sysadm.names("secret.list")


def test_a_host_group_is_needed_by_a_project_in_the_trash_that_may_use_it(office: Office) -> None:
    office.project("web")
    office.host("server185")
    office.sysadm("host-group.add", name="fast", hosts=["server185"])
    office.sysadm("project.configure", project="web", host_groups=["fast"])
    office.sysadm("project.delete", project="web", everything=True)
    with pytest.raises(Refused, match=r"fast.*project web.*trash"):
        office.sysadm("host-group.delete", host_group="fast")


class _Meanwhile:
    """Somebody else commits right before the next statement of an operation that begins so."""

    def __init__(self, office: Office, begins: str, then: str) -> None:
        self._office, self._begins, self._then = office, begins, then

    def __enter__(self) -> None:
        event.listen(self._office.services.database.engine, "before_cursor_execute", self._do)

    def __exit__(self, *_error: object) -> None:
        event.remove(self._office.services.database.engine, "before_cursor_execute", self._do)

    def _do(self, connection: Any, cursor: Any, statement: str, *_rest: Any) -> None:
        if self._then and statement.startswith(self._begins):
            then, self._then = self._then, ""
            cursor.execute(then)


def test_what_was_restored_at_this_moment_is_not_deleted_for_good(furnished: Office) -> None:
    """As with a server, where others commit between two statements."""
    furnished.sysadm("project.delete", project="web", everything=True)
    back = "UPDATE project SET deleted = NULL, name = 'web', trash_name = '' WHERE trash_name = 'web'"
    with _Meanwhile(furnished, "UPDATE project SET purging", back), pytest.raises(Conflict):
        furnished.sysadm("trash.purge", trash="web")
    assert read(furnished, select(Project.id).where(Project.purging)) == []
    assert read(furnished, select(Machine.name).where(Machine.name == "web-vm")) == ["web-vm"]


def test_what_goes_for_good_at_this_moment_is_not_restored(furnished: Office) -> None:
    furnished.sysadm("project.delete", project="web", everything=True)
    gone = "UPDATE project SET purging = 1 WHERE trash_name = 'web'"
    with _Meanwhile(furnished, "UPDATE project SET name", gone), pytest.raises(Conflict):
        furnished.sysadm("trash.restore", trash="web")


def test_a_project_that_is_not_in_the_trash_is_never_taken_apart(furnished: Office) -> None:
    write(furnished, update(Project).where(Project.name == "web").values(purging=True))
    go_on(furnished)
    assert read(furnished, select(Machine.name).where(Machine.name == "web-vm")) == ["web-vm"]
    assert read(furnished, select(Task.id).where(Task.kind.like("%.delete"))) == []


def test_deleting_twice_at_once_forgets_no_administrator(office: Office) -> None:
    office.project("web", admin="zhao")
    first = "UPDATE project SET deleted = '2026-01-01 00:00:00.000000' WHERE name = 'web'"
    with _Meanwhile(office, "UPDATE project SET", first), pytest.raises(Conflict):
        office.sysadm("project.delete", project="web", everything=True)


def test_what_cannot_go_for_good_keeps_nothing_else(furnished: Office) -> None:
    sysadm = furnished.sysadm
    sysadm("secret.add", name="key", display_name="K", kind="volume", usage="key", value="correct horse")
    sysadm("secret.delete", secret="key")
    secret = select(Secret.__table__.c.id).where(Secret.__table__.c.trash_name == "key").scalar_subquery()
    # As an earlier version left it: something refers to what is in the trash.
    write(furnished, update(Volume).where(Volume.name == "web-disk").values(secret_id=secret))
    sysadm("project.delete", project="shop", everything=True)
    clock = furnished.services.clock
    assert isinstance(clock, StillClock)
    clock.advance(31 * 86400)
    Trash(furnished.services).look()
    assert [row["state"] for row in sysadm("trash.list")["rows"] if row["name"] == "shop"] in ([], ["deleting"])


def test_a_group_has_no_row_for_a_project_in_the_trash(office: Office) -> None:
    for name in ("web", "shop", "mail"):
        office.project(name)
    for name in ("shop", "mail"):
        office.sysadm("project-group.add-project", project_group="web-group", project=name)
        office.sysadm("project.delete", project=name, everything=True)
    found = office.sysadm("project-group.members", search="web")
    assert [(row["name"], row["project"]) for row in found["rows"]] == [("web-group", "web")]
    assert found["total"] == 1
