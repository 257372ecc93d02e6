"""Rules that turn gradients into updates."""
