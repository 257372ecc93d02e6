"""What the demo trains, and how it tells that the samples improved."""

from __future__ import annotations

SETTINGS = ("training.sample_minutes=0.3", "training.evaluate_every=0")
"""Samples come by the clock, so that the demo looks alike on slow and fast machines."""
