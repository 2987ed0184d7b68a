"""Static int8: ranges from one calibration pass, and weights rounded to suit."""
