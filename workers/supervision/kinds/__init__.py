"""The kinds of jobs: one file for each says all that the supervision asks of it. `known` lists them."""
