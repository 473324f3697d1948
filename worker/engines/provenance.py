"""Sign results with content credentials (C2PA): that a model edited the picture, and from which photo. Pixels do not change.

The manifest lists the actions `opened` (the photo is the parent ingredient) and `edited`, with the digital source type "composite
with trained algorithmic media". A watermarked result also has `watermarked.unbound`, because the watermark does not link to the
manifest. The manifest contains no prompt, no thumbnail and nothing that identifies the user.
"""

from __future__ import annotations

import io
from collections.abc import Generator
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import c2pa
import structlog

from s2edit_core.pictures.files import decode_photo, encode_png, media_type
from s2edit_core.request.picture_limits import MAX_PIXELS
from s2edit_core.request.spec import EditRequest, Progress
from s2edit_jobs.bootstrap import NotConfigured, service_key
from s2edit_jobs.settings import Settings
from worker.engines.development_certificate import development_certificate
from worker.engines.engine import Artifact, Check, EditInputs, EditResult, Engine, EngineWrapper

log = structlog.get_logger(__name__)

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
SETTINGS = {
    "version_major": 1,
    "builder": {"thumbnail": {"enabled": False}},
    # A photo may refer to a remote manifest: never fetch it.
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """The signer: certificate chain and private key in PEM. `trusted` is False for the generated development certificate."""

    certificates: bytes
    private_key: bytes
    timestamp_url: str | None = None
    trusted: bool = True

    @classmethod
    def from_settings(cls, settings: Settings) -> Credentials:
        """Return the configured credentials, or generated ones from the data folder. Raise `NotConfigured` if they cannot sign."""
        if settings.provenance_certificate is None or settings.provenance_private_key is None:
            kept = service_key(settings, "provenance-development.pem", development_certificate, _check_development)
            return replace(_development(kept), timestamp_url=settings.provenance_timestamp_url)
        try:
            certificates, key = (path.read_bytes() for path in (settings.provenance_certificate, settings.provenance_private_key))
            credentials = cls(certificates, key, settings.provenance_timestamp_url)
            replace(credentials, timestamp_url=None).sign(*_trial())
        except (OSError, c2pa.C2paError) as error:
            raise NotConfigured(f"cannot sign results with S2EDIT_PROVENANCE_CERTIFICATE and its private key: {error}") from error
        return credentials

    def sign(self, result: bytes, photo: bytes, *, watermarked: bool = False) -> bytes:
        """Return `result` (PNG, JPEG or WebP) with a signed manifest. `photo` is its source. Raise `c2pa.C2paError`."""
        try:
            return self._sign(result, photo, watermarked)
        except c2pa.C2paError as error:
            log.info("the photo's file can't be an ingredient: its pixels are", action="photo_encoded", error=type(error).__name__)
            return self._sign(result, encode_png(decode_photo(photo, MAX_PIXELS)), watermarked)

    def _sign(self, result: bytes, photo: bytes, watermarked: bool) -> bytes:
        signed, kind = io.BytesIO(), media_type(result)
        info = c2pa.C2paSignerInfo(b"es256", self.certificates, self.private_key, (self.timestamp_url or "").encode() or None)
        with (
            c2pa.Context.from_dict(SETTINGS) as context,
            c2pa.Signer.from_info(info) as signer,
            c2pa.Builder(_manifest(kind, watermarked), context) as builder,
        ):
            builder.set_intent(c2pa.C2paBuilderIntent.EDIT)
            parent = {"title": "photo", "relationship": "parentOf"}
            builder.add_ingredient(parent, media_type(photo), io.BytesIO(photo))
            builder.sign(signer, kind, io.BytesIO(result), signed)
        return signed.getvalue()


def _manifest(kind: str, watermarked: bool) -> dict[str, Any]:
    us = {"name": "s2edit", "version": version("s2edit")}
    edited = {"action": "c2pa.edited", "digitalSourceType": SOURCE_TYPE, "softwareAgent": us}
    actions = [edited, {"action": "c2pa.watermarked.unbound", "softwareAgent": us}] if watermarked else [edited]
    return {
        "claim_generator_info": [us],
        "title": "edit",
        "format": kind,
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": actions}}],
    }


def _development(kept: str) -> Credentials:
    """Return the generated credentials in `kept`: a private key, its certificate and the root certificate."""
    private, begin, public = kept.partition("-----BEGIN CERTIFICATE")
    return Credentials(f"{begin}{public}\n".encode(), private.encode(), trusted=False)


def _check_development(kept: str) -> None:
    """Raise `ValueError` if the generated credentials can't sign."""
    try:
        _development(kept).sign(*_trial())
    except c2pa.C2paError as error:
        raise ValueError(f"it can't sign: {error}") from error


def _trial() -> tuple[bytes, bytes]:
    """Return a picture to test the key with, so that a worker that cannot sign does not start."""
    from PIL import Image

    png = encode_png(Image.new("RGB", (32, 32)))
    return png, png


class SigningEngine(EngineWrapper):
    """A wrapper of an engine that signs its results and their variants."""

    def __init__(self, engine: Engine, credentials: Credentials) -> None:
        super().__init__(engine)
        self._credentials = credentials

    def edit(
        self,
        request: EditRequest,
        inputs: EditInputs,
        *,
        concept: bytes | None,
        inversion: bytes | None,
        checkpoint: bytes | None = None,
        check: Check | None = None,
    ) -> Generator[Progress | Artifact, None, EditResult]:
        steps = super().edit(request, inputs, concept=concept, inversion=inversion, checkpoint=checkpoint, check=check)
        edited = yield from steps
        made: list[bytes] = []
        for one in (edited.picture, *edited.variants):
            if made:
                yield Progress("finishing", 0, 1)  # the worker must see that it advances: a time-stamping server may be slow
            made.append(self._credentials.sign(one, inputs.image, watermarked=edited.watermarked))
        signed, *variants = made
        facts = {"standard": "C2PA", "digital_source_type": SOURCE_TYPE, "trusted": self._credentials.trusted}
        return replace(edited, picture=signed, variants=tuple(variants), report={**edited.report, "provenance": facts})
