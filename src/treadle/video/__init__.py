"""Video on this machine: reading and writing frames, control maps, interpolation, chunks, coherence."""
