"""One module a page: GET handlers that read through the door and fill a template."""
