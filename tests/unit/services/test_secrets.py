"""Security objects: kept, found, changed and deleted by the system administrator; their values never come back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import select, text, update

from core.coordination import machines, storage
from core.errors import AlreadyExists, Conflict, InUse, InvalidInput, NotFound, PermissionDenied
from core.model import Base, Machine, Pool, Secret, Volume
from core.security.sealed import purpose
from tests.architecture.world import furnish
from tests.fakes import rack
from tests.fakes.office import GIB, Office, Person

CANARY = "Canary-bird-in-a-mine-7"


@pytest.fixture
def web(office: Office) -> Person:
    """The admin of project web, with a pool."""
    return rack.web(office)


def keep(office: Office, name: str = "disk-key", **values: Any) -> dict[str, Any]:
    """A new secret of project web, or as told."""
    usual = {"display_name": "数据盘密钥", "kind": "volume", "usage": f"{name}/use", "value": CANARY, "project": "web"}
    return office.sysadm("secret.add", name=name, **{**usual, **values})


def stored(office: Office, name: str = "disk-key") -> Secret:
    found: Secret = office.services.database.read(lambda s: s.scalars(select(Secret).where(Secret.name == name)).one())
    return found


def value_of(office: Office, name: str = "disk-key") -> str:
    row = stored(office, name)
    return office.services.vault.open(row.value, purpose(row.uuid))


def at_of_last(office: Office) -> str:
    """When the last operation was."""
    at: str = office.sysadm("log.list", sort="at", descending=True)["rows"][0]["at"]
    return at


def everything(office: Office) -> str:
    """The whole database as text."""
    tables = Base.metadata.tables
    quote = office.services.database.engine.dialect.identifier_preparer.quote
    return office.services.database.read(
        lambda s: repr([list(s.execute(text(f"SELECT * FROM {quote(name)}")).all()) for name in tables])
    )


def test_a_secret_is_not_given_to_another_project_than_its_volumes_unasked(office: Office) -> None:
    furnish(office)
    office.services.database.write(
        lambda s: s.execute(
            update(Volume)
            .where(Volume.name == "web-disk")
            .values(secret_id=select(Secret.id).where(Secret.name == "web-secret").scalar_subquery())
        )
    )
    with pytest.raises(InUse, match=r"Volumes of other projects, or of none, open with secret web-secret: .*/web-disk"):
        office.sysadm("secret.edit", secret="web-secret", project="shop")
    assert office.sysadm("secret.show", secret="web-secret")["project"] == "web"
    assert office.sysadm("secret.edit", secret="web-secret", project="")["project"] == "", "to everybody's is no loss"
    assert office.sysadm("secret.edit", secret="web-secret", project="shop", even_if_used=True)["project"] == "shop"


def test_a_secret_that_volumes_of_no_project_open_with_stays_nobodys(office: Office, web: Person) -> None:
    """It was given away: every project that has their pool opened them with another one's secret."""
    keep(office, project="")
    for name in ("one", "two"):
        office.sysadm("volume.add", name=name, pool="local", capacity=GIB, secret="disk-key")
    with pytest.raises(InUse, match="or of none, open with secret disk-key: local/one, local/two") as refused:
        office.sysadm("secret.edit", secret="disk-key", project="web")
    assert refused.value.field == "project"
    assert office.sysadm("secret.show", secret="disk-key")["project"] == ""
    rack.settle(office)
    for name in ("one", "two"):
        office.sysadm("volume.give", volume=f"local/{name}", project="web")
    assert office.sysadm("secret.edit", secret="disk-key", project="web")["project"] == "web"


def test_a_secret_is_listed_without_its_value(office: Office, web: Person) -> None:
    row = keep(office, description="for the shop")
    assert row == office.sysadm("secret.show", secret="disk-key") == office.sysadm("secret.list")["rows"][0]
    assert (row["name"], row["display_name"], row["kind"], row["usage"], row["project"], row["description"]) == (
        "disk-key", "数据盘密钥", "volume", "disk-key/use", "web", "for the shop",
    )  # fmt: skip
    assert row["used_by"] == []
    assert not {"value", "password"} & set(row)
    assert value_of(office) == CANARY


def test_the_value_is_nowhere_to_be_read(office: Office, web: Person) -> None:
    answers = [keep(office), office.sysadm("secret.edit", secret="disk-key", value=CANARY + "2")]
    answers.append(web("volume.add", name="disk1", pool="local", capacity=GIB, secret="disk-key"))
    for wrong in ({"value": CANARY, "kind": "x"}, {"value": CANARY + "\n"}, {"value": CANARY, "usage": "a b"}):
        with pytest.raises(InvalidInput) as caught:
            keep(office, "other", **wrong)
        answers.append(caught.value.to_wire())
    operations = ("secret", "volume", "pool", "task", "log", "project")
    answers += [office.sysadm(f"{name}.list") for name in operations]
    assert CANARY not in json.dumps(answers, default=str)
    assert CANARY not in everything(office)


def test_a_sealed_value_opens_for_its_own_object_only(office: Office, web: Person) -> None:
    """Whoever can write rows cannot move a value to where it would be used for something else."""
    keep(office)
    keep(office, "other", value="Another-value-9")
    moved = stored(office).value
    other = stored(office, "other")
    with pytest.raises(Exception, match="cannot be opened"):
        office.services.vault.open(moved, purpose(other.uuid))


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("name", {"name": ""}),
        ("name", {"name": "盘"}),
        ("name", {"name": "two words"}),
        ("name", {"name": "x" * 65}),
        ("display_name", {"display_name": ""}),
        ("display_name", {"display_name": "x" * 65}),
        ("kind", {"kind": "ceph"}),
        ("kind", {"kind": ""}),
        ("usage", {"usage": ""}),
        ("usage", {"usage": "a b"}),
        ("usage", {"usage": "x" * 129}),
        ("value", {"value": ""}),
        ("value", {"value": "short"}),
        ("value", {"value": "two words", "kind": "iscsi"}),
        ("description", {"description": "x" * 4001}),
    ],
)
def test_what_is_refused_names_its_field_and_keeps_nothing(
    office: Office, web: Person, field: str, values: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInput) as caught:
        keep(office, **{"name": "disk-key", **values})
    assert caught.value.field == field
    assert office.sysadm("secret.list")["total"] == 0


def test_names_and_uses_are_taken_once(office: Office, web: Person) -> None:
    keep(office)
    with pytest.raises(AlreadyExists) as caught:
        keep(office, usage="something/else")
    assert caught.value.field == "name"
    with pytest.raises(AlreadyExists) as caught:
        keep(office, "other", usage="disk-key/use")
    assert caught.value.field == "usage"
    keep(office, "other", usage="disk-key/use", kind="iscsi")
    with pytest.raises(AlreadyExists):
        office.sysadm("secret.edit", secret="other", name="disk-key")
    keep(office, "third")
    with pytest.raises(AlreadyExists) as caught:
        office.sysadm("secret.edit", secret="third", usage="disk-key/use")
    assert caught.value.field == "usage"


def test_the_list_is_searched_and_filtered(office: Office, web: Person) -> None:
    keep(office, usage="web/disks")
    keep(office, "iscsi-189", display_name="iscsi密码", kind="iscsi", usage="iscsi", project="")
    names = office.sysadm.names
    assert names("secret.list") == ["disk-key", "iscsi-189"]
    assert names("secret.list", search="密码") == ["iscsi-189"]
    assert names("secret.list", search="数据盘") == ["disk-key"]
    assert names("secret.list", search="ISCSI-1") == ["iscsi-189"]
    assert names("secret.list", filters={"project": "web"}) == ["disk-key"]
    assert names("secret.list", filters={"kind": "iscsi"}) == ["iscsi-189"]
    assert names("secret.list", filters={"usage": "WEB/d"}) == ["disk-key"]
    assert names("secret.list", sort="usage") == ["iscsi-189", "disk-key"]


def test_everything_but_its_kind_can_be_changed(office: Office, web: Person) -> None:
    version = keep(office)["version"]
    row = office.sysadm(
        "secret.edit", secret="disk-key", name="key2", display_name="二", usage="x/y", project="", description="d",
        version=version,
    )  # fmt: skip
    assert (row["name"], row["display_name"], row["usage"], row["project"], row["description"]) == (
        "key2", "二", "x/y", "", "d",
    )  # fmt: skip
    assert value_of(office, "key2") == CANARY, "what was not given stays"
    office.sysadm("secret.edit", secret="key2", value="", project="web")
    assert value_of(office, "key2") == CANARY
    with pytest.raises(Conflict, match="sysadm changed") as overtaken:
        office.sysadm("secret.edit", secret="key2", value="Another-value-9", version=version)
    assert "value" not in overtaken.value.parameters["changed"]
    assert set(overtaken.value.parameters["changed"]["display_name"]) == {"who", "at"}
    office.sysadm("secret.edit", secret="key2", value="Another-value-9")
    assert value_of(office, "key2") == "Another-value-9"
    with pytest.raises(InvalidInput) as caught:
        office.sysadm("secret.edit", secret="key2", value="short")
    assert caught.value.field == "value"
    detail = office.sysadm("log.list", sort="at", descending=True)["rows"][0]["detail"]
    assert detail == "value: … → …"
    assert "Another" not in detail
    # Who was slower is told who gave it another value, and when, and not which.
    with pytest.raises(Conflict, match="sysadm changed") as overtaken:
        office.sysadm("secret.edit", secret="key2", value="My-own-value-3", version=version + 2)
    assert overtaken.value.parameters["changed"] == {"value": {"who": "sysadm", "at": at_of_last(office)}}


def test_a_project_admin_sees_what_the_project_may_encrypt_by(office: Office, web: Person) -> None:
    shop = office.project("shop")
    keep(office)
    keep(office, "iscsi-189", kind="iscsi")
    keep(office, "nobodys", project="")
    assert web.names("secret.list") == ["disk-key"]
    assert shop.names("secret.list") == []
    with pytest.raises(NotFound):
        shop("secret.show", secret="disk-key")
    for operation in ("secret.edit", "secret.delete"):
        with pytest.raises(PermissionDenied):
            web(operation, secret="disk-key")
    for hidden in ("nobodys", "iscsi-189"):
        with pytest.raises(NotFound) as caught:
            web("volume.add", name="disk1", pool="local", capacity=GIB, secret=hidden)
        assert caught.value.field == "secret"


def test_an_encrypted_volume_names_its_secret_and_the_secret_its_volumes(office: Office, web: Person) -> None:
    keep(office)
    web("volume.add", name="disk1", pool="local", capacity=GIB, secret="disk-key")
    web("volume.add", name="disk2", pool="local", capacity=GIB, format="raw")
    rows = {row["name"]: (row["encrypted"], row["secret"]) for row in web("volume.list")["rows"]}
    assert rows == {"disk1": (True, "disk-key"), "disk2": (False, "")}
    assert web("secret.show", secret="disk-key")["used_by"] == ["local/disk1"]
    assert web.names("volume.list", filters={"secret": "disk-key"}) == ["disk1"]
    database = office.services.database
    uuid = web("volume.show", volume="local/disk1")["uuid"]
    order = database.read(lambda s: storage.load_volume(s, uuid))
    assert order is not None
    assert order.secret is not None
    assert order.secret.open(office.services.vault) == CANARY
    assert order.secret.value not in repr(order)
    office.sysadm("secret.edit", secret="disk-key", project="")
    assert web("volume.show", volume="local/disk1")["secret"] == "", "whose name is not the project's to know"
    assert web("volume.show", volume="local/disk1")["encrypted"]
    assert web("volume.list", filters={"secret": "disk-key"})["rows"] == []


@pytest.mark.parametrize("volume_format", ["qcow", "qed", "vmdk", "vpc"])
def test_formats_that_cannot_be_encrypted(office: Office, web: Person, volume_format: str) -> None:
    keep(office)
    with pytest.raises(InvalidInput, match="qcow2, raw") as caught:
        web("volume.add", name="disk1", pool="local", capacity=GIB, format=volume_format, secret="disk-key")
    assert caught.value.field == "secret"
    assert web("volume.list")["rows"] == []


def test_a_secret_of_iscsi_encrypts_no_volume(office: Office, web: Person) -> None:
    keep(office, "iscsi-189", kind="iscsi")
    with pytest.raises(InvalidInput) as caught:
        office.sysadm("volume.add", name="disk1", pool="local", capacity=GIB, secret="iscsi-189")
    assert caught.value.field == "secret"


def test_what_is_used_is_not_deleted(office: Office, web: Person) -> None:
    keep(office)
    keep(office, "iscsi-189", kind="iscsi")
    web("volume.add", name="disk1", pool="local", capacity=GIB, secret="disk-key")
    pool_key = stored(office, "iscsi-189").id
    office.services.database.write(lambda s: s.query(Pool).update({"secret_id": pool_key}))
    for name, user in (("disk-key", "local/disk1"), ("iscsi-189", "local")):
        with pytest.raises(InUse, match=user) as caught:
            office.sysadm("secret.delete", secret=name)
        assert caught.value.field == "secret"
    with pytest.raises(InUse, match="local/disk1"):
        office.sysadm("project.delete", project="web")
    office.services.database.write(lambda s: (s.query(Volume).delete(), s.query(Pool).update({"secret_id": None})))
    for name in ("disk-key", "iscsi-189"):
        office.sysadm("secret.delete", secret=name)
    assert office.sysadm("secret.list")["total"] == 0


def test_the_value_that_volumes_open_with_is_changed_only_when_it_is_meant(office: Office, web: Person) -> None:
    keep(office)
    web("volume.add", name="disk1", pool="local", capacity=GIB, secret="disk-key")
    with pytest.raises(InUse, match="local/disk1") as caught:
        office.sysadm("secret.edit", secret="disk-key", value="Another-value-9", usage="other")
    assert caught.value.field == "value"
    assert (value_of(office), stored(office).usage) == (CANARY, "disk-key/use"), "nothing half-done"
    office.sysadm("secret.edit", secret="disk-key", usage="other")
    office.sysadm("secret.edit", secret="disk-key", value="Another-value-9", even_if_used=True)
    assert value_of(office) == "Another-value-9"


def test_the_order_of_a_vm_has_the_secrets_of_its_disks(office: Office, web: Person) -> None:
    keep(office)
    web("volume.add", name="disk1", pool="local", capacity=GIB, secret="disk-key")
    rack.disk(office, web, "disk2")
    rack.instance(web, disks=[{"volume": "local/disk1"}, {"volume": "local/disk2"}, {"device": "cdrom"}])
    web("vm.add", name="vm1", instance="shop")
    database = office.services.database
    uuid = database.read(lambda s: s.scalars(select(Machine.uuid)).one())
    order = database.read(lambda s: machines.load(s, uuid, office.services.vault))
    assert order is not None
    assert [disk.secret.name if disk.secret else "" for disk in order.disks] == ["disk-key", ""]
    assert CANARY not in repr(order)
