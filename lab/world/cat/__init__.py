"""Cats: heads and chests, shaded and furred, with the true answer of every edit."""

from lab.world.cat.domain import DOMAIN

__all__ = ["DOMAIN"]
