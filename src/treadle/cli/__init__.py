"""The command line: every verb is derived from the table of operations."""
