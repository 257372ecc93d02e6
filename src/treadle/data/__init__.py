"""Documents, tokenizers, dataset versions, token streams and loaders: everything between a file and a batch."""
