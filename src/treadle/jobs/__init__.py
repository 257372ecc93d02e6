"""Runs of heavy work: each in its own process and folder, started by any door, found again by its files."""
