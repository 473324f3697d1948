"""Doubles for tests. The engine's is shipped beside its port, for the storm bench needs it too."""

from worker.fake_engine import FakeEngine

__all__ = ["FakeEngine"]
