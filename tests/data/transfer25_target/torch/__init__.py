"""Stands in for the launcher that comes with torch."""
