"""From specs to libvirt's XML."""
