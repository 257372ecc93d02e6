"""What turns files into documents: one file per kind, one line per extension in the catalogue."""
