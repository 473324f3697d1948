"""The terms on which a new identity is kept: the statement of consent and the TTL."""

from __future__ import annotations

from s2edit_core.errors import OptionInvalid
from s2edit_jobs.settings import Settings


def check_consent(settings: Settings, consent: str | None) -> None:
    """Raise `OptionInvalid` if the settings require a statement of consent and `consent` is missing or blank."""
    if settings.require_consent and not (consent or "").strip():
        raise OptionInvalid(
            "state in `consent` that the person in the photo agrees to be learned", field="consent", reason="consent_missing"
        )


def ttl_of(settings: Settings, requested: float | None) -> float | None:
    """Return the seconds after which an identity is erased: the smaller of the requested and the configured TTL, or None."""
    return min((ttl for ttl in (requested, settings.identity_ttl_s) if ttl is not None), default=None)
