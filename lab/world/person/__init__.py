"""People: head-and-shoulders portraits with the true answer of every edit."""

from lab.world.person.domain import DOMAIN, with_makeup_of
from lab.world.person.portrait import parts

__all__ = ["DOMAIN", "parts", "with_makeup_of"]
