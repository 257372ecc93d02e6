"""What happened, written down while it happens: events of runs, and the hardware they ran on."""
