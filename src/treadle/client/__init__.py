"""The Python door over HTTP: a `Workspace` that lives on another machine, or in another process."""
