from enum import StrEnum


class EditDocumentPresetType0(StrEnum):
    BALANCED = "balanced"
    INSTANT = "instant"
    PAPER = "paper"

    def __str__(self) -> str:
        return str(self.value)
