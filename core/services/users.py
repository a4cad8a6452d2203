"""The accounts of project admins, managed by the system administrator (manual 5.4)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Row, delete, func, select, update

from core.errors import Refused
from core.i18n import N_
from core.model import SYSADM, Project, Role, Session, User
from core.rules import names
from core.services.editing import edit, unused
from core.services.fields import ruled
from core.services.listing import Query, answer, called, flag, iso, listing
from core.services.lookup import find
from core.services.operation import SYSTEM_ADMIN, Answer, Call, NewPassword, operation
from core.services.paging import Named
from core.services.trash import discard


def user_row(user: User, project: str | None) -> dict[str, Any]:
    """An account as lists and details give it; ``project`` is the name of the one it manages."""
    return {
        "uuid": user.uuid,
        "name": user.account,
        "account": user.account,
        "display_name": user.display_name,
        "role": user.role,
        "project": project or "",
        "phone": user.phone,
        "email": user.email,
        "address": user.address,
        "description": user.description,
        "frozen": user.frozen,
        "created": iso(user.created),
        "version": user.version,
    }


def own_row(user: User, project: str | None, project_uuid: str | None, project_active: bool) -> dict[str, Any]:
    """An account as its own user sees it: also whether it can work now, and in which project, whatever that is called.

    ``project_uuid`` is None without one.
    """
    return {
        **user_row(user, project),
        "project_uuid": project_uuid,
        "project_active": project_active,
        "must_change_password": user.must_change_password,
    }


def check_basics(
    *,
    display_name: str | None = None,
    phone: str | None = None,
    email: str | None = None,
    address: str | None = None,
    description: str | None = None,
) -> dict[str, str | None]:
    """Check what an account says about its person, and give it back as columns.

    Raises:
        InvalidInput: a rule is broken; names the field.
    """
    ruled("display_name", names.display_name, display_name)
    ruled("phone", names.phone, phone)
    ruled("email", names.email, email)
    ruled("address", names.line, address)
    ruled("description", names.prose, description)
    return {
        "display_name": display_name,
        "phone": phone,
        "email": email,
        "address": address,
        "description": description,
    }


def end_sessions(call: Call, user: User, *, but: str = "") -> None:
    """End a user's sessions, but for the one with this digest."""
    call.session.execute(delete(Session).where(Session.user_id == user.id, Session.digest != but))


def _statement() -> Any:
    return select(User, Project.name.label("project")).outerjoin(Project, Project.id == User.project_id)


def _row(found: Row[Any]) -> dict[str, Any]:
    return user_row(found.User, found.project)


def _reload(call: Call, user: User) -> Answer:
    return _row(call.session.execute(_statement().where(User.id == user.id)).one())


def _not_sysadm(user: User) -> None:
    if user.account == SYSADM:
        raise Refused(
            N_("This cannot be done to the system administrator's account."),
            remedy=N_("It manages itself by `dosvm profile`."),
            field="user",
        )


@operation("user.list", roles=SYSTEM_ADMIN)
def list_(call: Call, *, query: Query) -> Answer:
    """All project admins."""
    rows, total = listing(
        call,
        select(User.id).where(User.role == Role.PROJECT.value),
        query,
        columns={
            "name": User.account,
            "account": User.account,
            "display_name": User.display_name,
            "project": Named(User.project_id, Project.name),
            "phone": User.phone,
            "email": User.email,
            "frozen": User.frozen,
            "address": User.address,
            "created": User.created,
        },
        tie=User.id,
        search=[User.account, User.display_name],
        filters={
            "frozen": lambda value: User.frozen.is_(flag(value)),
            "project": lambda value: User.project_id.in_(called(Project, value)),
            "free": lambda value: User.project_id.is_(None) if flag(value) else User.project_id.is_not(None),
        },
        rows=_statement(),
    )
    return answer([_row(found) for found in rows], total)


@operation("user.show", roles=SYSTEM_ADMIN)
def show(call: Call, *, user: str) -> Answer:
    """One account; ``lines`` say what would be without anybody if it were gone."""
    found = find(call, User, user, field="user")
    return {**_reload(call, found), "lines": _left_alone(call, found)}


def _left_alone(call: Call, user: User) -> list[dict[str, Any]]:
    """A sentence on the project that has no other administrator who can log in; the manual allows it (5.4.6, 5.4.7)."""
    if user.project_id is None or user.frozen:
        return []
    others = select(User.id).where(User.project_id == user.project_id, User.id != user.id, User.frozen.is_(False))
    if call.session.scalar(others.limit(1)) is not None:
        return []
    return [
        {
            "message": N_(
                "Nobody else can manage project {project}: its VMs are left as they are until it has another"
                " administrator."
            ),
            "parameters": {"project": call.session.scalar(select(Project.name).where(Project.id == user.project_id))},
        }
    ]


@operation("user.add", roles=SYSTEM_ADMIN, action=N_("Add"), target="account", confirm="own_password")
def add(
    call: Call,
    *,
    account: str,
    new_password: NewPassword,
    display_name: str = "",
    phone: str = "",
    email: str = "",
    address: str = "",
    description: str = "",
    project: str = "",
    must_change_password: bool = False,
) -> Answer:
    """Make the account of a project admin, who may have to choose a password of their own before anything else."""
    managed = find(call, Project, project, field="project") if project else None
    return _reload(
        call,
        create(
            call,
            account=account,
            password_hash=new_password,
            project=managed,
            must_change_password=must_change_password,
            display_name=display_name,
            phone=phone,
            email=email,
            address=address,
            description=description,
        ),
    )


def named_alike(account: str) -> ColumnElement[bool]:
    """The condition that a user's account is this one, or looks like it: nobody tells ``zhao`` from ``ZHAO`` by ear."""
    return func.lower(User.account) == account.lower()


def create(
    call: Call,
    *,
    account: str,
    password_hash: str,
    project: Project | None,
    must_change_password: bool = False,
    **basics: str,
) -> User:
    """Enter a project admin.

    Raises:
        InvalidInput: a rule is broken.
        AlreadyExists: the account is taken.
    """
    ruled("account", names.account, account)
    checked = check_basics(**basics)
    unused(call, named_alike(account), account, field="account")
    user = User(
        account=account,
        role=Role.PROJECT.value,
        project_id=project.id if project else None,
        password_hash=str(password_hash),
        must_change_password=must_change_password,
        created=call.clock.now(),
        **checked,
    )
    call.session.add(user)
    call.session.flush()
    call.note(account, object=user.uuid, project=project.name if project else "")
    call.changed("user", "project")
    return user


@operation("user.edit", roles=SYSTEM_ADMIN, action=N_("Edit"), target="user")
def edit_(
    call: Call,
    *,
    user: str,
    account: str | None = None,
    display_name: str | None = None,
    phone: str | None = None,
    email: str | None = None,
    address: str | None = None,
    description: str | None = None,
    version: int | None = None,
) -> Answer:
    """Change what an account says about its person, or its name."""
    found = find(call, User, user, field="user")
    basics = check_basics(display_name=display_name, phone=phone, email=email, address=address, description=description)
    if account is not None and account != found.account:
        _not_sysadm(found)
        ruled("account", names.account, account)
        unused(call, named_alike(account) & (User.id != found.id), account, field="account")
    call.note(found.account)
    edit(call, found, version, {"account": account, **basics})
    call.changed("user")
    return _reload(call, found)


@operation(
    "user.set-password",
    roles=SYSTEM_ADMIN,
    action=N_("Change password"),
    target="user",
    confirm="own_password",
)
def set_password(call: Call, *, user: str, new_password: NewPassword, must_change_password: bool = False) -> Answer:
    """Give a project admin a new password; ends the sessions opened with the old one.

    ``must_change_password``: it opens nothing but the choice of another one.
    """
    found = find(call, User, user, field="user")
    _not_sysadm(found)
    call.session.execute(
        update(User)
        .where(User.id == found.id)
        .values(password_hash=str(new_password), must_change_password=must_change_password)
    )
    end_sessions(call, found)
    call.note(found.account)
    call.changed("user")
    return {}


@operation("user.delete", roles=SYSTEM_ADMIN, action=N_("Delete"), target="user", confirm="own_password")
def delete_(call: Call, *, user: str) -> Answer:
    """Put an account into the trash; what its user did stays, for it is the project's."""
    found = find(call, User, user, field="user")
    _not_sysadm(found)
    end_sessions(call, found)
    discard(call, found)
    call.note(found.account, object=found.uuid)
    call.changed("user", "project")
    return {}


@operation("user.freeze", roles=SYSTEM_ADMIN, action=N_("Freeze"), target="user")
def freeze(call: Call, *, user: str) -> Answer:
    """Let a user log in no more; sessions that are open go on until they end (manual 5.4.7)."""
    return _set_frozen(call, user, frozen=True)


@operation("user.unfreeze", roles=SYSTEM_ADMIN, action=N_("Unfreeze"), target="user")
def unfreeze(call: Call, *, user: str) -> Answer:
    """Let a user log in again."""
    return _set_frozen(call, user, frozen=False)


def _set_frozen(call: Call, user: str, *, frozen: bool) -> Answer:
    found = find(call, User, user, field="user")
    _not_sysadm(found)
    call.note(found.account)
    edit(call, found, None, {"frozen": frozen})
    call.changed("user")
    return _reload(call, found)
