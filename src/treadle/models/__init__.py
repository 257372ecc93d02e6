"""Networks: families, each a folder of the same few files. They know no files and no training."""
