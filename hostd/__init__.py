"""The daemon of one host: it runs VMs, keeps them as they were asked to be, and answers consoles."""
