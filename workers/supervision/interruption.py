"""Why an attempt stops although nothing is wrong with its job; `abnormal_end` has the other reasons.

LeaseLost          the job may be another worker's
CancelRequested    its user wants it to stop
ShuttingDown       this worker was told to stop
"""


class LeaseLost(Exception):
    """Another worker may have the job, or has it. Stop, and write nothing."""


class CancelRequested(Exception):
    """The user wants the job to stop."""


class ShuttingDown(Exception):
    """This worker was told to stop."""
