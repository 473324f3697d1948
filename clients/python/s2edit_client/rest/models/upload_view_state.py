from enum import StrEnum


class UploadViewState(StrEnum):
    ARRIVED = "arrived"
    WAITING = "waiting"

    def __str__(self) -> str:
        return str(self.value)
