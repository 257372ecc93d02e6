"""The C++ core for CPUs: training and generation behind a C interface, built once and called by ctypes."""
