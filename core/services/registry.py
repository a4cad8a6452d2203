"""Imports every module that declares operations, so that the table of operations is whole."""

from __future__ import annotations

import core.services.cloud_services
import core.services.contents
import core.services.forgetting
import core.services.giving
import core.services.host_groups
import core.services.host_history
import core.services.host_loss
import core.services.hosts
import core.services.image_uploads
import core.services.images
import core.services.instances
import core.services.logs
import core.services.machines
import core.services.maintenance
import core.services.pools
import core.services.power
import core.services.profile
import core.services.project_groups
import core.services.projects
import core.services.purges
import core.services.refreshing
import core.services.reverting
import core.services.secrets
import core.services.settings
import core.services.snapshots
import core.services.tasks
import core.services.trash
import core.services.usage
import core.services.users
import core.services.volumes  # noqa: F401
