"""What the supervisor and the job's process say to each other. Only pydantic and the contracts are imported here.

The supervisor writes SCRATCH/task.json (`tasks`) and starts `python -m workers.pipeline SCRATCH`. The process writes
one event a line on stdout (`events`, through a `reporter`), and at its end SCRATCH/outcome.json (`outcome`); output
files are in SCRATCH/outputs. Exit status 0 means that there is an outcome, good or bad; anything else is a crash.
`step_keys` says which results of steps both sides keep, and `canonical_files` what the files of a model are called.
"""
