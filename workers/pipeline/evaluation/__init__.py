"""How good and how fast candidates are: compared, with intervals, and timed in turns."""
