"""The resources, one declaration each: ``SPEC`` in a module of the resource's name (dashes as underscores)."""
