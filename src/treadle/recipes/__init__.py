"""The stories of the jobs: one file per kind, read from top to bottom."""
