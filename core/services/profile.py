"""A user's own account (manual 5.5)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select, update

from core.errors import NotFound
from core.i18n import N_
from core.model import Project, User
from core.services.editing import edit
from core.services.listing import Query, answer
from core.services.operation import EVERYBODY, Answer, Call, NewPassword, operation
from core.services.preferences import change_preferences, preferences_of
from core.services.users import check_basics, end_sessions, own_row


def _own(call: Call, reference: str) -> User:
    user = call.session.execute(select(User).where(User.id == call.actor.user_id)).scalar_one()
    if reference not in ("", user.uuid, user.account):
        raise NotFound(N_("Only your own account can be named here."), remedy=N_("Leave it out."), field="profile")
    return user


def _row(call: Call, reference: str = "") -> dict[str, Any]:
    _own(call, reference)
    found = call.session.execute(
        select(User, Project.name.label("project"), Project.uuid.label("of"), Project.active.label("active"))
        .outerjoin(Project, Project.id == User.project_id)
        .where(User.id == call.actor.user_id)
    ).one()
    own = own_row(found.User, found.project, found.of, found.active is not False)
    return {**own, "preferences": preferences_of(call.session, call.actor.user_id)}


@operation("profile.list", roles=EVERYBODY, idle_project=True)
def list_(call: Call, *, query: Query) -> Answer:
    """The caller's own account, as a list of one."""
    return answer([_row(call)][query.offset :], 1)


@operation("profile.show", roles=EVERYBODY, idle_project=True)
def show(call: Call, *, profile: str = "") -> Answer:
    """The caller's own account; there is no other to name."""
    return _row(call, profile)


@operation("profile.edit", roles=EVERYBODY, action=N_("Edit"), idle_project=True)
def edit_(
    call: Call,
    *,
    profile: str = "",
    display_name: str | None = None,
    phone: str | None = None,
    email: str | None = None,
    address: str | None = None,
    description: str | None = None,
    version: int | None = None,
) -> Answer:
    """Change what the caller's account says about its person."""
    user = _own(call, profile)
    basics = check_basics(display_name=display_name, phone=phone, email=email, address=address, description=description)
    call.note(user.account)
    edit(call, user, version, basics)
    call.changed("user")
    return _row(call)


@operation("profile.set-preferences", roles=EVERYBODY, idle_project=True, quiet=True)
def set_preferences(call: Call, *, preferences: str, profile: str = "") -> Answer:
    """Change what the caller chose for the console; see :func:`core.services.preferences.change_preferences`."""
    _own(call, profile)
    return {"preferences": change_preferences(call.session, call.actor.user_id, preferences)}


@operation(
    "profile.change-password",
    roles=EVERYBODY,
    action=N_("Change password"),
    idle_project=True,
    confirm="old_password",
)
def change_password(call: Call, *, new_password: NewPassword, profile: str = "") -> Answer:
    """Change the caller's password and end the other sessions opened with the old one."""
    user = _own(call, profile)
    call.session.execute(
        update(User).where(User.id == user.id).values(password_hash=str(new_password), must_change_password=False)
    )
    end_sessions(call, user, but=call.actor.session)
    call.note(user.account)
    call.changed("user")
    return {}
