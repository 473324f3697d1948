"""The domains of the world, by name."""

from __future__ import annotations

from lab.world.cat import DOMAIN as CATS
from lab.world.church import DOMAIN as CHURCHES
from lab.world.domain import Domain
from lab.world.person import DOMAIN as PEOPLE

DOMAINS: dict[str, Domain] = {domain.name: domain for domain in (PEOPLE, CATS, CHURCHES)}
