"""Networks: families, each a folder of the same few files. They know no training, and no files but those of others."""
