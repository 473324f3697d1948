"""Content credentials: every result has them, and validators detect later changes."""

from __future__ import annotations

import io
import json
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import c2pa
import numpy as np
import pytest
from cryptography import x509
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from s2edit_core.request.spec import EditRequest, LearningRequest, Progress
from s2edit_jobs.bootstrap import NotConfigured
from s2edit_jobs.settings import Settings
from tests.doubles import FakeEngine
from tests.unit.api import pictures
from worker.engines.development_certificate import ORGANISATION, development_certificate
from worker.engines.engine import Artifact, EditInputs, EditResult
from worker.engines.provenance import SOURCE_TYPE, Credentials, SigningEngine

SECRET = "canary prompt 3c1d"
REQUEST = EditRequest(prompt=f"a photo of a woman {SECRET}")


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    return Credentials.from_settings(Settings(data_dir=tmp_path))


def read(data: bytes, media_type: str = "image/png") -> tuple[str, dict[str, Any]]:
    with c2pa.Reader(media_type, io.BytesIO(data)) as reader:
        return str(reader.get_validation_state()), reader.get_active_manifest()


def actions_of(manifest: dict[str, Any]) -> list[str]:
    (actions,) = [one["data"]["actions"] for one in manifest["assertions"] if one["label"].startswith("c2pa.actions")]
    return [action["action"] for action in actions]


def pixels(data: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def photo_with_gps() -> bytes:
    picture, exif = Image.open(io.BytesIO(pictures.photo())), Image.Exif()
    exif[0x010E] = "canary description"
    out = io.BytesIO()
    picture.save(out, "JPEG", exif=exif)
    return out.getvalue()


def test_a_result_says_that_it_was_edited_by_a_model_and_from_which_photo(credentials: Credentials) -> None:
    state, manifest = read(credentials.sign(pictures.photo(), pictures.photo(format="JPEG")))
    assert state == "Valid"
    (actions,) = [one["data"]["actions"] for one in manifest["assertions"] if one["label"].startswith("c2pa.actions")]
    assert [action["action"] for action in actions] == ["c2pa.opened", "c2pa.edited"]
    assert actions[1]["digitalSourceType"] == SOURCE_TYPE
    assert SOURCE_TYPE.endswith("/compositeWithTrainedAlgorithmicMedia")
    (parent,) = manifest["ingredients"]
    assert (parent["relationship"], parent["format"]) == ("parentOf", "image/jpeg")
    assert actions[0]["parameters"]["ingredients"], "it names the photo"


def test_it_tells_of_a_watermark(credentials: Credentials) -> None:
    state, manifest = read(credentials.sign(pictures.photo(), pictures.photo(), watermarked=True))
    assert state == "Valid"
    assert actions_of(manifest) == ["c2pa.opened", "c2pa.edited", "c2pa.watermarked.unbound"]


@pytest.mark.parametrize(
    ("format", "lossless"), [("PNG", {}), ("WEBP", {"lossless": True}), ("WEBP", {"quality": 80}), ("JPEG", {})]
)
def test_the_pixels_stay_as_they_were(credentials: Credentials, format: str, lossless: dict[str, Any]) -> None:
    out = io.BytesIO()
    Image.open(io.BytesIO(pictures.photo())).save(out, format, **lossless)
    signed = credentials.sign(out.getvalue(), pictures.photo())
    assert signed != out.getvalue()
    assert np.array_equal(pixels(signed), pixels(out.getvalue()))
    if format == "PNG" or lossless.get("lossless"):
        assert np.array_equal(pixels(signed), pixels(pictures.photo()))
    assert read(signed, f"image/{format.lower()}")[0] == "Valid"


@pytest.mark.parametrize("format", ["PNG", "WEBP", "JPEG"])
def test_tampering_is_found_out(credentials: Credentials, format: str) -> None:
    plain = pictures.photo(format=format)
    signed = bytearray(credentials.sign(plain, pictures.photo()))
    at = signed.find(plain[-60:-30])
    assert at > 0, "the picture's own bytes are in the file"
    signed[at] ^= 1
    assert read(bytes(signed), f"image/{format.lower()}")[0] == "Invalid"


def test_a_manifest_moved_to_another_picture_is_found_out(credentials: Credentials) -> None:
    signed = credentials.sign(pictures.photo(), pictures.photo())
    start = signed.index(b"caBX") - 4
    size = int.from_bytes(signed[start : start + 4], "big") + 12
    other = pictures.mask()
    moved = other[: signed.index(b"IHDR") + 21] + signed[start : start + size] + other[signed.index(b"IHDR") + 21 :]
    assert read(moved)[0] == "Invalid"


def test_it_holds_nothing_private(credentials: Credentials) -> None:
    out = io.BytesIO()
    note = PngInfo()
    note.add_text("Comment", "canary comment")
    Image.open(io.BytesIO(pictures.photo())).save(out, "PNG", pnginfo=note)
    for photo in (photo_with_gps(), out.getvalue()):
        signed = credentials.sign(pictures.photo(), photo)
        assert b"canary" in photo
        assert b"canary" not in signed
        assert "thumbnail" not in json.dumps(read(signed)[1])
        assert len(signed) < len(pictures.photo()) + 8000


def test_the_history_of_a_photo_that_has_one_goes_on(credentials: Credentials) -> None:
    first = credentials.sign(pictures.photo(), pictures.photo())
    second = credentials.sign(pictures.photo(), first)
    with c2pa.Reader("image/png", io.BytesIO(second)) as reader:
        assert len(json.loads(reader.json())["manifests"]) == 2
        assert reader.get_validation_state() == "Valid"


def test_a_photo_whose_file_is_no_good_as_an_ingredient_is_one_by_its_pixels(credentials: Credentials) -> None:
    """An example is a PNG with a damaged manifest."""
    plain, end_of_header = pictures.photo(), 33
    photo = plain[:end_of_header] + pictures._chunk(b"caBX", b"\xff" * 40) + plain[end_of_header:]
    assert np.array_equal(pixels(photo), pixels(plain))
    state, manifest = read(credentials.sign(pictures.photo(), photo))
    assert state == "Valid"
    assert len(manifest["ingredients"]) == 1


class TestCertificates:
    def test_the_development_certificate_says_what_it_is(self, credentials: Credentials, tmp_path: Path) -> None:
        assert not credentials.trusted
        signer, root = x509.load_pem_x509_certificates(credentials.certificates)
        assert ORGANISATION in signer.subject.rfc4514_string()
        assert "not trusted" in ORGANISATION
        signer.verify_directly_issued_by(root)
        assert read(credentials.sign(pictures.photo(), pictures.photo()))[1]["signature_info"]["issuer"] == ORGANISATION
        kept = tmp_path / "provenance-development.pem"
        assert kept.stat().st_mode & 0o777 == 0o600
        assert Credentials.from_settings(Settings(data_dir=tmp_path)) == credentials, "it is generated once"

    def test_ones_own_certificate_signs(self, tmp_path: Path) -> None:
        private, begin, public = development_certificate().partition("-----BEGIN CERTIFICATE")
        (tmp_path / "key.pem").write_text(private)
        (tmp_path / "certificate.pem").write_text(begin + public)
        settings = Settings(
            data_dir=tmp_path, provenance_certificate=tmp_path / "certificate.pem", provenance_private_key=tmp_path / "key.pem"
        )
        credentials = Credentials.from_settings(settings)
        assert credentials.trusted
        assert read(credentials.sign(pictures.photo(), pictures.photo()))[0] == "Valid"
        assert not (tmp_path / "provenance-development.pem").exists()

    def test_a_key_that_is_not_the_certificates_is_refused_before_any_work(self, tmp_path: Path) -> None:
        for name in ("one", "other"):
            private, begin, public = development_certificate().partition("-----BEGIN CERTIFICATE")
            (tmp_path / f"{name}.key").write_text(private)
            (tmp_path / f"{name}.pem").write_text(begin + public)
        for key in ("other.key", "one.pem", "none"):
            settings = Settings(provenance_certificate=tmp_path / "one.pem", provenance_private_key=tmp_path / key)
            with pytest.raises(NotConfigured, match="S2EDIT_PROVENANCE_CERTIFICATE"):
                Credentials.from_settings(settings)

    def test_a_certificate_without_its_key_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="set both S2EDIT_PROVENANCE_CERTIFICATE"):
            Settings(provenance_certificate=tmp_path / "certificate.pem")


class PictureEngine(FakeEngine):
    """An engine whose results are real pictures."""

    def edit(self, request: EditRequest, inputs: EditInputs, **given: Any) -> Generator[Progress | Artifact, None, EditResult]:
        edited = yield from super().edit(request, inputs, **given)
        return EditResult(pictures.photo(), edited.report)


class TestEngine:
    def run(self, engine: SigningEngine, **kept: Any) -> tuple[list[Progress | Artifact], EditResult]:
        steps = engine.edit(REQUEST, EditInputs(pictures.photo(), pictures.mask()), **{"concept": None, "inversion": None, **kept})
        seen = []
        while True:
            try:
                seen.append(next(steps))
            except StopIteration as end:
                return seen, end.value

    def test_its_results_are_signed_and_reported(self, credentials: Credentials) -> None:
        seen, edited = self.run(SigningEngine(PictureEngine(), credentials))
        assert len(seen) == 3 * 3 + 3
        assert read(edited.picture)[0] == "Valid"
        assert np.array_equal(pixels(edited.picture), pixels(pictures.photo()))
        assert edited.report["provenance"] == {"standard": "C2PA", "digital_source_type": SOURCE_TYPE, "trusted": False}
        assert SECRET.encode() not in edited.picture

    def test_each_variant_is_signed(self, credentials: Credentials) -> None:
        class Twice(PictureEngine):
            def edit(
                self, request: EditRequest, inputs: EditInputs, **given: Any
            ) -> Generator[Progress | Artifact, None, EditResult]:
                edited = yield from super().edit(request, inputs, **given)
                return replace(edited, variants=(pictures.photo(), pictures.photo()))

        _, edited = self.run(SigningEngine(Twice(), credentials))
        assert [read(png)[0] for png in (edited.picture, *edited.variants)] == ["Valid"] * 3

    @pytest.mark.parametrize("watermarked", [True, False])
    def test_it_tells_of_the_watermark_that_the_engine_put_in(self, credentials: Credentials, watermarked: bool) -> None:
        class Marking(PictureEngine):
            def edit(
                self, request: EditRequest, inputs: EditInputs, **given: Any
            ) -> Generator[Progress | Artifact, None, EditResult]:
                edited = yield from super().edit(request, inputs, **given)
                return replace(edited, variants=(pictures.photo(),), watermarked=watermarked)

        _, edited = self.run(SigningEngine(Marking(), credentials))
        for picture in (edited.picture, *edited.variants):
            assert ("c2pa.watermarked.unbound" in actions_of(read(picture)[1])) == watermarked

    def test_what_is_learned_is_the_engines_own(self, credentials: Credentials) -> None:
        engine, inputs = PictureEngine(), EditInputs(b"photo", b"mask")
        signing = SigningEngine(engine, credentials)
        hat = LearningRequest(kind="attribute", prompt="a woman with [A] hat")
        made = [step for step in signing.learn(hat, inputs) if isinstance(step, Artifact)]
        assert [one.id for one in made] == [signing.plan_learning(hat, inputs)] == [engine.plan_learning(hat, inputs)]
        assert signing.facts == engine.facts

    def test_closing_it_closes_the_engine(self, credentials: Credentials) -> None:
        engine = PictureEngine()
        steps = SigningEngine(engine, credentials).edit(
            REQUEST, EditInputs(b"photo", b"mask"), concept=None, inversion=None, checkpoint=None
        )
        next(steps)
        steps.close()
        assert engine.closed == 1

    @pytest.mark.parametrize("on", [True, False])
    def test_the_worker_signs_unless_told_not_to(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on: bool) -> None:
        import worker.engines.s2edit_engine as real

        monkeypatch.setenv("S2EDIT_REDIS_URL", "redis://127.0.0.1:9")
        monkeypatch.setattr(real, "S2EditEngine", lambda *_, **__: PictureEngine())
        from worker.app import load_engine
        from worker.engines.guarded import GuardedEngine

        engine = load_engine(Settings(data_dir=tmp_path, provenance=on))
        assert isinstance(engine, GuardedEngine), "faults of the device get one type"
        engine = engine._engine
        assert isinstance(engine, SigningEngine if on else PictureEngine)

    @pytest.mark.parametrize(
        "told",
        [
            {"precision": "bf16", "watermark": True, "segmenter": "model", "captioner": "a/captioner", "jobs": 4},
            {"precision": "auto", "watermark": False, "segmenter": None, "captioner": None, "jobs": 1},
        ],
    )
    def test_the_engine_gets_what_the_worker_is_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: dict[str, Any]
    ) -> None:
        import worker.engines.s2edit_engine as real

        given: dict[str, Any] = {}
        monkeypatch.setenv("S2EDIT_REDIS_URL", "redis://127.0.0.1:9")
        monkeypatch.setattr(real, "S2EditEngine", lambda *_, **options: given.update(options) or PictureEngine())
        from worker.app import load_engine

        named = {"worker_jobs" if name == "jobs" else name: value for name, value in told.items() if value}
        load_engine(Settings(data_dir=tmp_path, **named))
        assert given == told
