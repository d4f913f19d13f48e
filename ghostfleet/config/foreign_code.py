"""What went wrong in code that is not ours, and where? A file's name and a line for its author, and no variable's value."""

import traceback
from pathlib import PurePath
from types import FrameType

OURS = "ghostfleet"


def words_of(problem: BaseException) -> str:
    """`KeyError: 'nope'` in one line that can be written, whatever the exception says of itself."""
    try:
        said = problem.msg if isinstance(problem, SyntaxError) else problem  # the place comes with place_of
        text = " ".join(str(said).split())
    except Exception:  # a foreign exception may fail at its own words
        text = "(it cannot say what)"
    return f"{type(problem).__name__}: {text}".encode(errors="backslashreplace").decode()


def place_of(problem: BaseException, module: str) -> str:
    """`piggy.py:64`: of a file that cannot be parsed its line, else the innermost frame of the plugin whose class is in this
    module. Empty where there is none."""
    if isinstance(problem, SyntaxError) and problem.filename:
        return f"{PurePath(problem.filename).name}:{problem.lineno or 0}"
    package = _package(module)
    places = [
        f"{PurePath(frame.f_code.co_filename).name}:{line}"
        for frame, line in traceback.walk_tb(problem.__traceback__)
        if _within(frame, package)
    ]
    return places[-1] if places else ""


def beginning_of(of: type, method: str) -> str:
    """Where this class has its method, in the same form. Empty where that cannot be seen."""
    code = getattr(getattr(of, method, None), "__code__", None)
    return "" if code is None else f"{PurePath(code.co_filename).name}:{code.co_firstlineno}"


def _package(module: str) -> str:
    """All of a foreign distribution is its author's; of ours, what is beside the class."""
    first, _, rest = module.partition(".")
    return module.rpartition(".")[0] if first == OURS and rest else first


def _within(frame: FrameType, package: str) -> bool:
    name = str(frame.f_globals.get("__name__", ""))
    return name == package or name.startswith(f"{package}.")
