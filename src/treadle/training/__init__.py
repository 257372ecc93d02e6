"""The loop, what it steps with, and what it leaves behind."""
