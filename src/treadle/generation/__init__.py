"""From weights to text: engines, sampling, and the one generate function that everything uses."""
