"""Everything a user can do, as typed functions. CLI, Python, and the coming web and MCP doors derive from them."""
