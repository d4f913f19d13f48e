"""What does a check say? A colour, a sentence, and what to do."""

from typing import Literal

import msgspec

Colour = Literal["green", "yellow", "red"]
ORDER: tuple[Colour, ...] = ("green", "yellow", "red")


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the doctor. Yellow wants to be known, red wants to be mended."""

    name: str
    colour: Colour
    told: str
    remedy: str = ""


def green(name: str, told: str) -> Finding:
    return Finding(name=name, colour="green", told=told)


def yellow(name: str, told: str, remedy: str = "") -> Finding:
    return Finding(name=name, colour="yellow", told=told, remedy=remedy)


def red(name: str, told: str, remedy: str) -> Finding:
    return Finding(name=name, colour="red", told=told, remedy=remedy)
