"""What happens beside the steps: each file overrides some of the loop's moments."""
