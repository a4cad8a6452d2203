"""The contract between console and hostd: the call table, its client, and the signature."""
