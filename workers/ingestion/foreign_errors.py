"""What libraries say when they refuse a file: their first line is for people, the rest for their developers."""


def first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
