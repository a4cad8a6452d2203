"""Projects, their groups, quotas, and what they may use."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.errors import AlreadyExists, Conflict, DosvmError, InUse, InvalidInput, NotFound, Refused
from core.model import HostGroup, Image, Instance, Machine, Pool, Project, ProjectGroup, Volume
from tests.fakes.office import GIB, Office


def project_id(office: Office, name: str) -> int:
    return office.services.database.read(lambda s: s.scalars(select(Project.id).where(Project.name == name)).one())


def pool(office: Office, name: str) -> int:
    host = office.host(f"{name}-host")

    def work(session: Session) -> int:
        made = Pool(name=name, kind="dir", capacity=GIB, path=f"/srv/{name}", host_id=host)
        session.add(made)
        session.flush()
        return made.id

    return office.services.database.write(work)


def instance(office: Office, project: str, name: str, **values: Any) -> Instance:
    made = Instance(project_id=project_id(office, project), name=name, spec="{}", **values)
    office.fill(made)
    return made


def test_a_new_project_is_active_and_may_use_nothing(office: Office) -> None:
    office.sysadm("project-group.add", name="acme", directory="/srv/acme/")
    office.sysadm("project.add", name="web", group="acme", description="Web shop")
    row = office.sysadm("project.show", project="web")
    assert set(row) == {
        "uuid", "name", "description", "active", "state", "group", "groups", "admins", "pools", "host_groups",
        "max_instances", "max_vcpus", "max_memory", "max_disk", "max_images", "max_image_bytes", "max_snapshots",
        "used_instances", "used_vcpus", "used_memory", "used_disk", "used_images", "used_image_bytes", "used_snapshots",
        "vcpu_seconds", "created", "version",
    }  # fmt: skip
    assert (row["state"], row["groups"], row["max_memory"]) == ("active", ["acme"], 0)
    assert office.sysadm("project-group.show", project_group="acme")["directory"] == "/srv/acme"


@pytest.mark.parametrize("name", ["[red]x", "../../etc", "字" * 64, "🙂", "'; DROP TABLE project; --", "a/b"])
def test_odd_names_are_only_names(office: Office, name: str) -> None:
    office.sysadm("project-group.add", name=name, directory="/srv/acme")
    office.sysadm("project.add", name=name, group=name)
    assert office.sysadm("project.show", project=name)["groups"] == [name]
    assert office.sysadm.names("project.list", search=name) == [name]
    office.sysadm("project.delete", project=name)
    assert office.sysadm.names("trash.list", search=name) == [name]
    office.sysadm("trash.purge", trash=name)
    office.sysadm("project-group.delete", project_group=name)


@pytest.mark.parametrize(
    "name", ["", " ", " x", "x ", "a\nb", "x" * 65, "a\u202eb", "2f1b1b0e-7a01-422f-ab35-9e4c7e01c28d"]
)
def test_a_name_that_is_none_is_refused(office: Office, name: str) -> None:
    office.sysadm("project-group.add", name="acme", directory="/srv/acme")
    for operation, more in (("project.add", {"group": "acme"}), ("project-group.add", {"directory": "/srv/b"})):
        with pytest.raises(InvalidInput) as error:
            office.sysadm(operation, name=name, **more)
        assert error.value.field == "name"


def test_a_name_is_taken_once(office: Office) -> None:
    office.project("web")
    office.project("shop")
    for operation, arguments in (
        ("project.add", {"name": "web", "group": "web-group"}),
        ("project.edit", {"project": "shop", "name": "web"}),
        ("project-group.add", {"name": "web-group", "directory": "/srv/other"}),
        ("project-group.edit", {"project_group": "shop-group", "name": "web-group"}),
    ):
        with pytest.raises(AlreadyExists) as error:
            office.sysadm(operation, **arguments)
        assert error.value.field == "name"


@pytest.mark.parametrize(
    "directory", ["", "srv", "/", "/etc", "/etc/x", "/usr/lib", "/srv/../etc", "/srv/./x", "/a\nb", "/x" * 600]
)
def test_a_directory_that_is_none_is_refused(office: Office, directory: str) -> None:
    with pytest.raises(InvalidInput) as error:
        office.sysadm("project-group.add", name="acme", directory=directory)
    assert error.value.field == "directory"


@pytest.mark.parametrize("directory", ["/srv/acme", "/srv//acme/", "/srv/acme/inside", "/srv"])
def test_no_group_reads_in_anothers_directory(office: Office, directory: str) -> None:
    office.sysadm("project-group.add", name="acme", directory="/srv/acme")
    office.sysadm("project-group.add", name="beside", directory="/srv/acme-2")
    for operation, arguments in (
        ("project-group.add", {"name": "new"}),
        ("project-group.edit", {"project_group": "beside"}),
    ):
        with pytest.raises(InvalidInput, match="acme") as error:
            office.sysadm(operation, directory=directory, **arguments)
        assert error.value.field == "directory"
    office.sysadm("project-group.edit", project_group="acme", directory="/srv/acme/inside")


def test_images_are_kept_apart_from_volumes(office: Office) -> None:
    pool(office, "local")
    with pytest.raises(InvalidInput, match="local"):
        office.sysadm("project-group.add", name="acme", directory="/srv/local/images")


# configuring


def test_quotas_are_kept_as_given(office: Office) -> None:
    office.project("web")
    row = office.sysadm("project.configure", project="web", max_vcpus=4, max_memory=3 * GIB, max_snapshots=0)
    assert (row["max_vcpus"], row["max_memory"], row["max_snapshots"], row["max_instances"]) == (4, 3 * GIB, 0, 100)


@pytest.mark.parametrize(
    ("key", "value"), [("max_vcpus", -1), ("max_vcpus", 2**31), ("max_disk", 2**61), ("max_memory", -GIB)]
)
def test_an_absurd_quota_is_refused_and_nothing_else_changes(office: Office, key: str, value: int) -> None:
    office.project("web")
    before = office.sysadm("project.show", project="web")
    arguments: dict[str, Any] = {key: value}
    with pytest.raises(InvalidInput) as error:
        office.sysadm("project.configure", project="web", max_instances=7, **arguments)
    assert error.value.field == key
    assert office.sysadm("project.show", project="web") == before


def test_sets_are_replaced_or_changed(office: Office) -> None:
    office.project("web")
    for name in ("p1", "p2", "p3"):
        pool(office, name)

    def configure(**arguments: Any) -> Any:
        return office.sysadm("project.configure", project="web", **arguments)["pools"]

    assert configure(pools=["p1", "p2"]) == ["p1", "p2"]
    assert configure(add_pools=["p3", "p3"]) == ["p1", "p2", "p3"]
    assert configure(remove_pools=["p1"]) == ["p2", "p3"]
    assert configure(add_pools=["p1"], remove_pools=["p2"]) == ["p1", "p3"]
    assert configure(max_vcpus=1) == ["p1", "p3"]
    assert configure(pools=[]) == []
    with pytest.raises(InvalidInput):
        configure(pools=["p1"], add_pools=["p2"])
    with pytest.raises(NotFound) as error:
        configure(pools=["p1", "nowhere"])
    assert error.value.field == "pools"
    assert configure() == []


def test_everybody_manages_one_project(office: Office) -> None:
    office.project("web", admin="zhao")
    office.project("shop", admin="li")
    office.user("wang")
    with pytest.raises(InUse, match=r"zhao.*web"):
        office.sysadm("project.configure", project="shop", add_admins=["zhao", "wang"])
    with pytest.raises(Refused):
        office.sysadm("project.configure", project="shop", add_admins=["sysadm"])
    assert office.sysadm("project.configure", project="shop", add_admins=["wang"])["admins"] == ["li", "wang"]
    assert office.sysadm("project.configure", project="web", admins=[])["admins"] == []
    assert office.sysadm("project.configure", project="shop", admins=["zhao"])["admins"] == ["zhao"]
    assert {row["name"]: row["project"] for row in office.sysadm("user.list")["rows"]} == {
        "zhao": "shop", "li": "", "wang": "",
    }  # fmt: skip


def test_a_pool_with_volumes_of_the_project_is_not_taken_away(office: Office) -> None:
    office.project("web")
    office.project("shop")
    pool_id = pool(office, "local")
    for name in ("web", "shop"):
        office.sysadm("project.configure", project=name, pools=["local"])
    office.fill(Volume(pool_id=pool_id, project_id=project_id(office, "web"), name="disk1", capacity=1))
    with pytest.raises(InUse, match="disk1") as error:
        office.sysadm("project.configure", project="web", pools=[])
    assert error.value.field == "pools"
    office.sysadm("project.configure", project="shop", pools=[])


def test_a_host_group_with_bound_instances_is_not_taken_away(office: Office) -> None:
    office.project("web")
    office.sysadm("host-group.add", name="all", projects=["web"])
    group_id = office.services.database.read(lambda s: s.scalars(select(HostGroup.id)).one())
    instance(office, "web", "front", host_group_id=group_id)
    attempts: list[tuple[str, dict[str, Any]]] = [
        ("project.configure", {"project": "web", "remove_host_groups": ["all"]}),
        ("host-group.edit", {"host_group": "all", "projects": []}),
        ("host-group.delete", {"host_group": "all"}),
    ]
    for operation, arguments in attempts:
        with pytest.raises(InUse):
            office.sysadm(operation, **arguments)


def test_of_two_who_configure_at_once_the_second_is_told_who_and_what(office: Office) -> None:
    office.project("web")
    seen = office.sysadm("project.show", project="web")["version"]
    office.sysadm("project.configure", project="web", max_vcpus=1, version=seen)
    with pytest.raises(Conflict, match=r"sysadm changed Most VCPUs"):
        office.sysadm("project.configure", project="web", max_memory=1, version=seen)
    with pytest.raises(Conflict):
        office.sysadm("project.edit", project="web", name="x", version=seen)


# deleting


def test_a_project_is_deleted_when_nothing_hangs_on_it(office: Office) -> None:
    office.project("web", admin="zhao")
    pool_id = pool(office, "local")
    office.sysadm("project.configure", project="web", pools=["local"])
    office.sysadm("host-group.add", name="all", projects=["web"])
    owner = project_id(office, "web")
    group_id = office.services.database.read(lambda s: s.scalars(select(ProjectGroup.id)).one())
    hanging = [
        (Volume(pool_id=pool_id, project_id=owner, name="disk1", capacity=1), "disk1"),
        (Image(name="debian", group_id=group_id, project_id=owner, file="a"), "debian"),
        (Instance(project_id=owner, name="front", spec="{}"), "front"),
    ]
    office.fill(*(row for row, _name in hanging))
    with pytest.raises(InUse) as error:
        office.sysadm("project.delete", project="web")
    for name in ("disk1", "debian", "front", "zhao"):
        assert name in error.value.text()

    def clear(session: Session) -> None:
        for row, _name in hanging:
            session.delete(session.merge(row))

    office.services.database.write(clear)
    office.sysadm("project.configure", project="web", admins=[])
    office.sysadm("project.delete", project="web")
    assert office.sysadm.names("project.list") == []
    assert office.sysadm("host-group.show", host_group="all")["projects"] == []
    assert office.sysadm("project-group.show", project_group="web-group")["projects"] == []


def test_a_project_group_is_deleted_when_it_is_empty(office: Office) -> None:
    office.project("web")
    with pytest.raises(InUse, match="web"):
        office.sysadm("project-group.delete", project_group="web-group")
    office.sysadm("project-group.add", name="second", directory="/srv/second")
    office.sysadm("project-group.delete", project_group="second")
    assert office.sysadm.names("project-group.list") == ["web-group"]


def test_a_project_is_in_several_groups_or_in_none(office: Office) -> None:
    office.project("web")
    office.sysadm("project-group.add", name="second", directory="/srv/second")
    with pytest.raises(Refused, match="not in"):
        office.sysadm("project-group.remove-project", project_group="second", project="web")
    for _ in range(2):
        row = office.sysadm("project-group.add-project", project_group="second", project="web")
        assert row["projects"] == ["web"]
    assert office.sysadm("project.show", project="web")["groups"] == ["second", "web-group"]
    office.sysadm("project-group.remove-project", project_group="web-group", project="web")
    assert office.sysadm("project.show", project="web")["groups"] == ["second"]
    # As the manual has it: a group is emptied and deleted, whatever its projects are in beside it.
    office.sysadm("project-group.remove-project", project_group="second", project="web")
    assert office.sysadm("project.show", project="web")["groups"] == []
    for group in ("second", "web-group"):
        office.sysadm("project-group.delete", project_group=group)
    assert office.person("web-admin").names("image.list") == []
    office.sysadm("project-group.add", name="third", directory="/srv/third")
    office.sysadm("project-group.add-project", project_group="third", project="web")
    assert office.sysadm("project.show", project="web")["groups"] == ["third"]


def test_images_keep_a_group_where_it_is(office: Office) -> None:
    office.project("web")
    office.sysadm("project-group.add", name="second", directory="/srv/second")
    office.sysadm("project-group.add-project", project_group="second", project="web")
    group = office.services.database.read(
        lambda s: s.scalars(select(ProjectGroup.id).where(ProjectGroup.name == "second")).one()
    )
    office.fill(Image(name="debian", group_id=group, project_id=project_id(office, "web"), file="a.iso"))
    attempts: list[tuple[str, dict[str, Any]]] = [
        ("project-group.edit", {"directory": "/srv/elsewhere"}),
        ("project-group.remove-project", {"project": "web"}),
    ]
    for operation, arguments in attempts:
        with pytest.raises(InUse, match="debian"):
            office.sysadm(operation, project_group="second", **arguments)
    office.sysadm("project-group.edit", project_group="second", description="still possible")


# deactivating, and what project admins see


def test_admins_of_a_deactivated_project_wait(office: Office) -> None:
    zhao = office.project("web", admin="zhao")
    office.sysadm("project.deactivate", project="web")
    assert office.sysadm.names("project.list", filters={"active": False}) == ["web"]
    for operation in ("usage.show", "host-group.list"):
        with pytest.raises(DosvmError, match="deactivated"):
            zhao(operation)
    assert zhao("profile.show")["project_active"] is False
    office.sysadm("project.activate", project="web")
    zhao("usage.show")


def test_a_project_admin_sees_the_own_things_only(office: Office) -> None:
    zhao = office.project("web", admin="zhao")
    office.project("shop")
    office.sysadm("project-group.add-project", project_group="web-group", project="shop")
    office.sysadm("host-group.add", name="all", projects=["web", "shop"])
    office.sysadm("host-group.add", name="theirs", projects=["shop"])
    assert [row["projects"] for row in zhao("project-group.list")["rows"]] == [["web"]]
    assert [(row["name"], row["projects"]) for row in zhao("host-group.list")["rows"]] == [("all", ["web"])]
    assert zhao("project.show", project="web")["name"] == "web"
    with pytest.raises(NotFound):
        zhao("project.show", project="shop")


# usage


def test_usage_counts_what_exists_and_what_is_on(office: Office) -> None:
    zhao = office.project("web", admin="zhao", max_vcpus=8)
    office.project("shop")
    owner = project_id(office, "web")
    front = instance(office, "web", "front", vcpus=2, memory=GIB)
    pool_id = pool(office, "local")
    group_id = office.services.database.read(lambda s: s.scalars(select(ProjectGroup.id).limit(1)).one())
    office.fill(
        *(Machine(name=f"on-{n}", project_id=owner, instance_id=front.id, power="on") for n in range(3)),
        Machine(name="off", project_id=owner, instance_id=front.id, power="off"),
        Volume(pool_id=pool_id, project_id=owner, name="a", capacity=5 * GIB),
        Volume(pool_id=pool_id, project_id=owner, name="b", capacity=2 * GIB),
        Image(name="debian", group_id=group_id, project_id=owner, file="a", size=700),
    )
    row = zhao("usage.show")
    assert {key: value for key, value in row.items() if key.startswith("used_")} == {
        "used_instances": 1, "used_vcpus": 6, "used_memory": 3 * GIB, "used_disk": 7 * GIB,
        "used_images": 1, "used_image_bytes": 700, "used_snapshots": 0,
    }  # fmt: skip
    assert row["max_vcpus"] == 8
    assert office.sysadm("usage.show", usage="web") == row
    assert zhao("usage.list") == {"rows": [row], "total": 1}
    assert office.sysadm.names("usage.list", sort="used_disk") == ["shop", "web"]
    assert office.sysadm.names("usage.list", sort="used_vcpus", descending=True) == ["web", "shop"]


# asking twice


def test_a_change_asked_again_happens_once_and_answers_the_same(office: Office) -> None:
    office.sysadm("project-group.add", name="acme", directory="/srv/acme")
    first = office.sysadm("project.add", name="web", group="acme", request="key-1")
    assert office.sysadm("project.add", name="web", group="acme", request="key-1") == first
    gone = office.sysadm("project.delete", project="web", request="key-2")
    assert office.sysadm("project.delete", project="web", request="key-2") == gone
    operations = [row["operation"] for row in office.sysadm("log.list")["rows"]]
    assert operations == ["project-group.add", "project.add", "project.delete"]


def test_a_request_key_of_somebody_else_tells_nothing(office: Office) -> None:
    zhao = office.project("web", admin="zhao")
    office.sysadm("project.edit", project="web", description="secret", request="key-1")
    with pytest.raises(Conflict):
        zhao("profile.edit", phone="1", request="key-1")


@pytest.mark.parametrize("request_key", ["x" * 37, " " * 500])
def test_a_request_key_has_a_length(office: Office, request_key: str) -> None:
    with pytest.raises(InvalidInput) as error:
        office.sysadm("profile.edit", phone="1", request=request_key)
    assert error.value.field == "request"


def test_no_filter_tells_which_other_projects_share_a_group(office: Office) -> None:
    zhao = office.project("web", admin="zhao")
    office.sysadm("project.add", name="secret", group="web-group")
    office.sysadm("host-group.add", name="both", projects=["web", "secret"])
    for operation in ("project-group.list", "host-group.list", "pool.list"):
        assert zhao(operation, filters={"project": "secret"})["rows"] == []
    assert office.sysadm.names("host-group.list", filters={"project": "secret"}) == ["both"]
    assert zhao.names("project-group.list", filters={"project": "web"}) == ["web-group"]


def test_a_project_group_has_a_row_for_each_of_its_projects(office: Office) -> None:
    for name in ("web", "shop", "mail"):
        office.project(name)
        if name != "web":
            office.sysadm("project-group.add-project", project_group="web-group", project=name)
    office.sysadm("project-group.add", name="empty", directory="/srv/dosvm-test/empty")
    answer = office.sysadm("project-group.members", search="web")
    rows = answer["rows"]
    assert [(row["name"], row["project"]) for row in rows] == [
        ("web-group", "web"),
        ("web-group", "shop"),
        ("web-group", "mail"),
    ]
    assert answer["total"] == 3
    assert len({row["member"] for row in rows}) == 3
    assert all(sorted(row["projects"]) == ["mail", "shop", "web"] for row in rows)
    everything = office.sysadm("project-group.members")["rows"]
    assert len(everything) == 6
    assert [row["project"] for row in everything if row["name"] == "empty"] == [""]
    pages = [office.sysadm("project-group.members", offset=n, limit=1)["rows"][0]["member"] for n in range(6)]
    assert pages == [row["member"] for row in everything], "pages neither repeat nor skip a row"
    found = office.sysadm("project-group.members", search="SHOP", sort="project")["rows"]
    assert {(row["name"], row["project"]) for row in found} == {("web-group", "shop"), ("shop-group", "shop")}
    own = office.person("shop-admin")("project-group.members")["rows"]
    assert [(row["name"], row["project"]) for row in own] == [("shop-group", "shop"), ("web-group", "shop")]
    assert all(row["projects"] == ["shop"] for row in own), "what else is in the group is not for others to know"
    assert len(office.sysadm("project-group.list")["rows"]) == 4, "for programs a group is there once"


def test_a_quota_below_what_is_used_is_set_and_said(office: Office) -> None:
    web = office.project("web")
    for name in ("one", "two"):
        web("instance.add", name=name, vcpus=1, memory=64 << 20)
    answer = office.sysadm("project.configure", project="web", max_instances=1, max_vcpus=5)
    assert [(w["field"], w["parameters"]) for w in answer["warnings"]] == [("max_instances", {"used": 2})]
    assert office.sysadm("project.show", project="web")["used_instances"] == 2
    assert office.sysadm("project.configure", project="web", max_vcpus=6)["warnings"] == []
