"""People: head-and-shoulders portraits with the true answer of every edit."""

from lab.world.person.domain import DOMAIN
from lab.world.person.portrait import parts

__all__ = ["DOMAIN", "parts"]
