"""What turns text into token ids and back: one file per kind, one line in the catalogue."""
