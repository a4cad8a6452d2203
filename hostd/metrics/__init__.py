"""How loaded the host and its VMs are: cheap things often, what needs QEMU's monitor rarely."""
