from enum import StrEnum


class ProgressViewPhase(StrEnum):
    EDITING = "editing"
    FINISHING = "finishing"
    INVERTING = "inverting"
    LEARNING = "learning"
    PREPARING = "preparing"

    def __str__(self) -> str:
        return str(self.value)
