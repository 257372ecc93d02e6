"""What each target reads: files and arguments written from one form of request."""
