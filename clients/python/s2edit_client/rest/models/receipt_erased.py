from enum import StrEnum


class ReceiptErased(StrEnum):
    ATTRIBUTE = "attribute"
    EDIT = "edit"
    IDENTITY = "identity"
    USER = "user"

    def __str__(self) -> str:
        return str(self.value)
