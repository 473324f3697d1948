from enum import StrEnum


class TokenRequestScopesType0Item(StrEnum):
    EDITSREAD = "edits:read"
    EDITSWRITE = "edits:write"
    IDENTITIES = "identities"

    def __str__(self) -> str:
        return str(self.value)
