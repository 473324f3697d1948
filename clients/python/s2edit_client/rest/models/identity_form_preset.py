from enum import StrEnum


class IdentityFormPreset(StrEnum):
    BALANCED = "balanced"
    INSTANT = "instant"
    PAPER = "paper"

    def __str__(self) -> str:
        return str(self.value)
