"""Exit codes. Scripts depend on them: they are fixed."""

from enum import IntEnum

from lowbit.errors import AuthenticationProblem, LowbitError, NoConnection, NotFound, ObjectiveUnmet, WaitTimeout


class ExitCode(IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2
    OBJECTIVE_UNMET = 3
    AUTHENTICATION = 4
    NOT_FOUND = 5
    NO_CONNECTION = 6
    TIMEOUT = 124  # as timeout(1)
    DETACHED = 130  # as a shell reports Ctrl-C; the job goes on


_BY_ERROR: dict[type[LowbitError], ExitCode] = {
    AuthenticationProblem: ExitCode.AUTHENTICATION,
    NotFound: ExitCode.NOT_FOUND,
    NoConnection: ExitCode.NO_CONNECTION,
    ObjectiveUnmet: ExitCode.OBJECTIVE_UNMET,
    WaitTimeout: ExitCode.TIMEOUT,
}


def exit_code_of(error: LowbitError) -> ExitCode:
    return _BY_ERROR.get(type(error), ExitCode.FAILED)
