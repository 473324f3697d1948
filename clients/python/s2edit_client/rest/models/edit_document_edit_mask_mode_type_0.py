from enum import StrEnum


class EditDocumentEditMaskModeType0(StrEnum):
    ALPHA = "alpha"
    AUTO = "auto"
    INVERTED_ALPHA = "inverted_alpha"
    LUMINANCE = "luminance"

    def __str__(self) -> str:
        return str(self.value)
