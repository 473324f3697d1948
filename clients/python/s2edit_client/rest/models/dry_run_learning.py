from enum import StrEnum


class DryRunLearning(StrEnum):
    KNOWN = "known"
    NEEDED = "needed"
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return str(self.value)
