"""Recipes: what a user may ask for, as a union of models by `method`. On the wire a recipe is flat.

In reading order: `pair_limit` (a field that needs words of its own), `static`, `dynamic` and `float16` (all that each
method reads), `recipe` (their union), `presets` (recipes with a name), `request` (a preset and what to change in it,
derived from the union), `stored` (the recipe of a job's row).

Another method is one file here, and one line in the union.
"""
