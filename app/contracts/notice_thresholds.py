"""Where notices begin: figures that the inspection of a data set and the advice before a job must share."""

FEW_SAMPLES = 32
"""Fewer than these set ranges that depend on which ones they are."""

PIXEL_LIKE = 200.0
"""Normalised values stay far below, raw pixels reach 255."""
