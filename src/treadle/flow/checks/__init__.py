"""The checks F01 to F19, one file a family; each finding names file, line and column, and what mends it."""
