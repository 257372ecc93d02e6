"""The assistants' door: operations as tools, notes and runs as resources, over the Model Context Protocol."""
