"""The web door: pages for people and an HTTP API for programs, both derived from the operations table."""
