"""How the console and the command line start and hang together; wires, decides nothing."""
