import inspect
from pathlib import Path

from lowbit.command.declaring import Declaration, declaring
from lowbit.command.preparation import ImageOptions, TextOptions
from lowbit.command.preparation_options import Size

OPTIONS = ["text", "text_pair", "label", "max_length"]
OPTIONS += [f"image_{field}" for field in ImageOptions._fields]


def test_a_command_shows_the_options_where_it_has_the_declaration() -> None:
    @declaring
    def command(path: str, *, declaration: Declaration, output: str = "") -> None: ...

    assert list(inspect.signature(command).parameters) == ["path", *OPTIONS, "preparation_file", "output"]


def test_a_command_gets_what_they_said() -> None:
    seen: list[tuple[str, Declaration]] = []

    @declaring
    def command(path: str, *, declaration: Declaration) -> None:
        seen.append((path, declaration))

    said = dict.fromkeys([*OPTIONS, "preparation_file"])
    command(path="a", **{**said, "text": "review", "image_size": Size(2, 3), "preparation_file": Path("p")})
    assert seen == [("a", Declaration(TextOptions("review"), ImageOptions(Size(2, 3)), Path("p")))]
