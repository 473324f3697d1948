from enum import StrEnum


class AttributeFormPreset(StrEnum):
    BALANCED = "balanced"
    INSTANT = "instant"
    PAPER = "paper"

    def __str__(self) -> str:
        return str(self.value)
