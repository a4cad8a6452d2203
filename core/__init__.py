"""The domain of DOSVM: data, rules, services and contracts; no UI, no libvirt, no kernel."""
