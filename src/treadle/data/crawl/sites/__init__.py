"""Handlers of kinds of sites: what of their pages is text, and which of their links lead nowhere."""
