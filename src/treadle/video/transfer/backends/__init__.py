"""Who carries out a transfer: programs of others on a host, or a small model of our own."""
