"""The operations: permission, rules, quota, audit, one transaction each."""
