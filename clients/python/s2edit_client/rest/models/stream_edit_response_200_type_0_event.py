from enum import StrEnum


class StreamEditResponse200Type0Event(StrEnum):
    EDIT = "edit"
    GAP = "gap"

    def __str__(self) -> str:
        return str(self.value)
