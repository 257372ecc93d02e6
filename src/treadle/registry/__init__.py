"""Catalogues: what there is, by name, imported on use."""
