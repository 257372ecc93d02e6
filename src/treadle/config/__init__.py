"""Settings: presets, layers with origins, closed classes, and what may change on a model that has weights."""
