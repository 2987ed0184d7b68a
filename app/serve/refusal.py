"""`lowbit serve` will not start, for a reason that one line can tell."""


class Refusal(Exception):
    """Shown as `lowbit: <message>`; the command exits with `exit_code`."""

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
