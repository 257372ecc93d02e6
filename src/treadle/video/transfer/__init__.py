"""Requests for Cosmos-Transfer: one strict form, and what each target is sent of it."""
