from enum import StrEnum


class EditDocumentMaskModeType0(StrEnum):
    ALPHA = "alpha"
    AUTO = "auto"
    INVERTED_ALPHA = "inverted_alpha"
    LUMINANCE = "luminance"

    def __str__(self) -> str:
        return str(self.value)
