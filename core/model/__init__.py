"""The tables, one module per aggregate; everything is re-exported here."""

from core.model.base import NAME_LENGTH, Base, new_uuid, utc_now
from core.model.hosts import Host, HostGroup, HostSample, host_group_of_project, host_in_group
from core.model.machines import Instance, Machine, MachineRun, Power, State, instance_image, instance_volume
from core.model.parameters import CloudParameters
from core.model.people import SYSADM, LoginLog, Preference, Role, Session, User
from core.model.projects import Project, ProjectGroup, project_in_group
from core.model.secrets import Secret
from core.model.storage import Image, Pool, PoolOnHost, Volume, pool_of_project
from core.model.tasks import LogName, LogSheet, OperationLog, Purge, Setting, Task, TaskState
from core.model.trash import HIDES_TRASH, LIVE, WITH_TRASH, Trashable, in_trash

__all__ = [
    "HIDES_TRASH",
    "LIVE",
    "NAME_LENGTH",
    "SYSADM",
    "WITH_TRASH",
    "Base",
    "CloudParameters",
    "Host",
    "HostGroup",
    "HostSample",
    "Image",
    "Instance",
    "LogName",
    "LogSheet",
    "LoginLog",
    "Machine",
    "MachineRun",
    "OperationLog",
    "Pool",
    "PoolOnHost",
    "Power",
    "Preference",
    "Project",
    "ProjectGroup",
    "Purge",
    "Role",
    "Secret",
    "Session",
    "Setting",
    "State",
    "Task",
    "TaskState",
    "Trashable",
    "User",
    "Volume",
    "host_group_of_project",
    "host_in_group",
    "in_trash",
    "instance_image",
    "instance_volume",
    "new_uuid",
    "pool_of_project",
    "project_in_group",
    "utc_now",
]
