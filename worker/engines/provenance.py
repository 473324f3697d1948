"""Content credentials (C2PA) in every result: that it was edited by a model, and from which photo. Its pixels are not touched.

The manifest says `opened` (the photo, as parent ingredient), `edited` with the digital source type of a composite with trained
algorithmic media and, where the result carries a watermark, `watermarked.unbound`: one that leads to no manifest. It holds no
prompt, no thumbnail, and nothing that tells whose photo it is.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import c2pa
import structlog

from s2edit_core.pictures.files import decode_photo, encode_png, media_type
from s2edit_core.request.limits import MAX_PIXELS
from s2edit_core.request.plan import EditPlan
from s2edit_core.request.spec import EditRequest, LearningRequest, Progress
from s2edit_jobs.bootstrap import NotConfigured, kept_key
from s2edit_jobs.records.record import JobRequest
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.model_facts import ModelFacts
from worker.engines.development_certificate import development_certificate
from worker.engines.engine import Edited, EditInputs, Engine, Found, Made

log = structlog.get_logger(__name__)

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
SETTINGS = {
    "version_major": 1,
    "builder": {"thumbnail": {"enabled": False}},
    # A photo may name a manifest somewhere on the net: no worker goes there.
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who signs: certificates and private key in PEM. `trusted` is False for those that were made here for trying things out."""

    certificates: bytes
    private_key: bytes
    timestamp_url: str | None = None
    trusted: bool = True

    @classmethod
    def from_settings(cls, settings: Settings) -> Credentials:
        """The configured ones, else those of the data folder. Raises `NotConfigured` for what can't sign."""
        if settings.provenance_certificate is None or settings.provenance_private_key is None:
            kept = kept_key(settings.data_dir / "provenance-development.pem", development_certificate)
            private, begin, public = kept.partition("-----BEGIN CERTIFICATE")
            return cls(f"{begin}{public}\n".encode(), private.encode(), settings.provenance_timestamp_url, trusted=False)
        try:
            certificates, key = (path.read_bytes() for path in (settings.provenance_certificate, settings.provenance_private_key))
            credentials = cls(certificates, key, settings.provenance_timestamp_url)
            replace(credentials, timestamp_url=None).sign(*_trial())
        except (OSError, c2pa.C2paError) as error:
            raise NotConfigured(f"the results can't be signed with S2EDIT_PROVENANCE_CERTIFICATE and its key: {error}") from error
        return credentials

    def sign(self, result: bytes, photo: bytes, *, watermarked: bool = False) -> bytes:
        """The PNG, JPEG or WebP `result`, with its manifest; `photo` is what it was made from. Raises `c2pa.C2paError`."""
        try:
            return self._sign(result, photo, watermarked)
        except c2pa.C2paError as error:
            log.info("the photo's pixels are the ingredient, its file can't be", action="photo_encoded", error=type(error).__name__)
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


def _trial() -> tuple[bytes, bytes]:
    """A picture to try the key on, so that a worker that could not publish anything does not start."""
    from PIL import Image

    png = encode_png(Image.new("RGB", (32, 32)))
    return png, png


class SigningEngine:
    """Any engine, with its results signed, each variant too."""

    def __init__(self, engine: Engine, credentials: Credentials) -> None:
        self._engine = engine
        self._credentials = credentials

    @property
    def facts(self) -> ModelFacts:
        return self._engine.facts

    def find_mask(
        self, request: JobRequest, photo: bytes, *, check: Callable[[], None] | None = None
    ) -> Generator[Progress, None, Found]:
        return self._engine.find_mask(request, photo, check=check)

    def plan_learning(self, request: LearningRequest, inputs: EditInputs) -> str:
        return self._engine.plan_learning(request, inputs)

    def learn(
        self,
        request: LearningRequest,
        inputs: EditInputs,
        *,
        checkpoint: bytes | None = None,
        check: Callable[[], None] | None = None,
    ) -> Generator[Progress | Made, None, dict[str, Any]]:
        return self._engine.learn(request, inputs, checkpoint=checkpoint, check=check)

    def plan(self, request: EditRequest, inputs: EditInputs) -> EditPlan:
        return self._engine.plan(request, inputs)

    def edit(
        self,
        request: EditRequest,
        inputs: EditInputs,
        *,
        concept: bytes | None,
        inversion: bytes | None,
        checkpoint: bytes | None = None,
        check: Callable[[], None] | None = None,
    ) -> Generator[Progress | Made, None, Edited]:
        steps = self._engine.edit(request, inputs, concept=concept, inversion=inversion, checkpoint=checkpoint, check=check)
        edited = yield from steps
        made = (edited.picture, *edited.variants)
        signed, *variants = (self._credentials.sign(one, inputs.image, watermarked=edited.watermarked) for one in made)
        told = {"standard": "C2PA", "digital_source_type": SOURCE_TYPE, "trusted": self._credentials.trusted}
        return replace(edited, picture=signed, variants=tuple(variants), report={**edited.report, "provenance": told})
