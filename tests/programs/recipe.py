"""recipe - what a program of recipes.py is given, and what of it is compared"""
import dataclasses
import typing


@dataclasses.dataclass
class Recipe:
    package: str  # of Debian, where the program is missing
    commands: list  # a list of words, or a string for bash; the last is watched
    mapped: tuple = ()  # processes that must have the library mapped
    files: dict = dataclasses.field(default_factory=dict)
    outputs: tuple = ()  # files and folders that it makes
    version: tuple = ()  # the command that tells it
    needs: tuple = ()  # programs; else the first word of the first command
    env: dict = dataclasses.field(default_factory=dict)
    prepare: typing.Optional[typing.Callable] = None  # called with the folder
    expected: str = ""  # must be in the output, whatever else is compared
    ignore: str = ""  # lines of the output that differ from run to run
    code: int = 0
    timeout: int = 240

    def __post_init__(self):
        if not self.needs:
            first = self.commands[0]
            self.needs = (first[0] if isinstance(first, list) else first.split()[0],)
        self.version = self.version or (self.needs[0], "--version")
