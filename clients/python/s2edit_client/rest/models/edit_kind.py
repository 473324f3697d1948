from enum import StrEnum


class EditKind(StrEnum):
    ATTRIBUTE = "attribute"
    EDIT = "edit"
    IDENTITY = "identity"
    MASK = "mask"

    def __str__(self) -> str:
        return str(self.value)
