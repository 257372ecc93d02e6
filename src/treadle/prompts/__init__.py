"""Stored requests for generation: records with versions, templates with questions, checks, enhancement."""
