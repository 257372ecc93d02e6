"""Small public texts that come with Treadle, for the first minutes and for tests; their licences are in LICENSES.md."""
