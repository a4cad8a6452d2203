"""What people see of the cloud: declarations, and screens made from them."""
