from enum import StrEnum


class UploadRequestMediaType(StrEnum):
    IMAGEAVIF = "image/avif"
    IMAGEHEIC = "image/heic"
    IMAGEJPEG = "image/jpeg"
    IMAGEPNG = "image/png"
    IMAGEWEBP = "image/webp"

    def __str__(self) -> str:
        return str(self.value)
