"""Files that other programs keep weights in: read with every size checked first, and written."""
