"""The command line, the first door."""
