"""What the bench is to reach, and whether it did.  A missed goal is printed, not failed."""

import msgspec


class Goal(msgspec.Struct):
    claim: str
    value: str
    met: bool | None  # None: this machine cannot tell

    def __str__(self) -> str:
        verdict = "not judged" if self.met is None else "met" if self.met else "MISSED"
        return f"- {self.claim}: {self.value}, {verdict}"


def at_least(claim: str, value: float, least: float, form: str = ".2f") -> Goal:
    return Goal(f"{claim} >= {least:{form}}", f"{value:{form}}", value >= least)


def at_most(claim: str, value: float, most: float, form: str = ".2f") -> Goal:
    return Goal(f"{claim} <= {most:{form}}", f"{value:{form}}", value <= most)
