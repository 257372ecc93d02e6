"""Stages of data work: each keeps a document, changes it, or says why it refuses it."""
