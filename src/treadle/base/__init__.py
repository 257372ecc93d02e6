"""What every room stands on: errors, names, files, hashes. Standard library only."""
