"""No metadata of a picture, such as its location, is stored, however the picture arrives."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from s2edit_core.pictures.files import decode_photo, encode_png
from s2edit_core.request.spec import EditRequest
from s2edit_jobs.library.uploads import Uploads
from s2edit_jobs.records.errors import UploadNotFound
from s2edit_jobs.records.files import Upload
from s2edit_jobs.stores.artifacts import upload_key
from s2edit_jobs.stores.model_facts import report_loaded
from s2edit_jobs.stores.object_store.filesystem_artifacts import FilesystemArtifactStore
from tests.canary_pictures import CANARY, SIZE, canary_files, chunk, exif, png, saved
from tests.doubles import FakeEngine
from tests.unit.api import pictures
from tests.unit.api.conftest import OWNER, Api
from tests.unit.api.routes.test_uploads import App
from tests.unit.api.wire.test_bad_input import assert_problem
from worker.engines.engine import EditInputs
from worker.engines.painters import DigestPainter, Drawn

CREDENTIALS = chunk(b"caBX", b"content credentials of the result")
KINDS = {"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp", "avif": "image/avif", "heic": "image/heic"}


@pytest.fixture
def app(api: Api, tmp_path: Path) -> App:
    return App(api, FilesystemArtifactStore(tmp_path / "objects", "http://testserver", "a signing key"))


def upright(name: str) -> tuple[int, int]:
    return decode_photo(canary_files()[name]).size


def assert_tells_nothing(objects: dict[str, bytes]) -> None:
    assert objects
    telling = [key for key, data in objects.items() if any(word in data for word in (CANARY.encode(), b"GPS", b"xmpmeta"))]
    assert telling == []


@pytest.mark.parametrize("name", list(canary_files()))
def test_an_edit_keeps_the_picture_alone_and_upright(api: Api, name: str) -> None:
    size = upright(name)
    answer = api.edit(image=canary_files()[name], mask=pictures.mask(size), edit_mask=pictures.mask(size))
    assert answer.status_code == 202, answer.json()
    assert_tells_nothing(api.artifacts.objects)
    api.work()
    assert api.get(answer.headers["location"]).json()["state"] == "succeeded"
    assert_tells_nothing(api.artifacts.objects)
    kept = [decode_photo(data) for key, data in api.artifacts.objects.items() if "/image." in key]
    assert len(kept) == 2  # the edit's, and the identity's
    assert {photo.size for photo in kept} == {size}
    assert {photo.tobytes() for photo in kept} == {decode_photo(canary_files()[name]).tobytes()}


def test_masks_tell_nothing_either(api: Api) -> None:
    said = png(Image.open(io.BytesIO(pictures.mask((128, 96)))))  # turned, it covers the photo
    answer = api.edit(image=pictures.photo(), mask=said, edit_mask=said)
    assert answer.status_code == 202, answer.json()
    assert_tells_nothing(api.artifacts.objects)


@pytest.mark.parametrize("what", ["identity", "attribute"])
def test_nor_do_the_photos_that_something_is_learned_from(api: Api, what: str) -> None:
    ask = {"identity": api.identity, "attribute": api.attribute}[what]
    answer = ask(image=canary_files()["jpeg"], mask=pictures.mask(upright("jpeg")))
    assert answer.status_code == 202, answer.json()
    api.work()
    assert api.get(answer.headers["location"]).json()["state"] == "succeeded"
    assert_tells_nothing(api.artifacts.objects)


def test_an_edit_of_an_edit_takes_its_result_byte_for_byte_and_the_mask_that_comes_without_metadata(api: Api) -> None:
    class Signing(DigestPainter):
        def draw(self, request: EditRequest, prompt: str, inputs: EditInputs) -> Drawn:
            return [encode_png(decode_photo(inputs.image))[:-12] + CREDENTIALS + b"\0\0\0\0IEND\xaeB`\x82"], [{}]

    first = api.edit(image=canary_files()["jpeg"], mask=pictures.mask(upright("jpeg")))
    api.work(FakeEngine(painter=Signing()))
    mask = png(Image.open(io.BytesIO(pictures.mask(SIZE))))
    other = api.edit(image=None, mask=mask, parent=first.json()["id"])
    assert other.status_code == 202, other.json()
    assert_tells_nothing(api.artifacts.objects)
    assert CREDENTIALS in api.artifacts.objects[f"{OWNER.prefix}edits/{other.json()['id']}/image.png"]


def test_the_same_photo_with_other_metadata_learns_nobody_anew(api: Api) -> None:
    size = upright("jpeg")
    bare, engine = saved("JPEG", exif=exif(6), quality=90), api.work()
    for image in (canary_files()["jpeg"], bare):
        assert api.edit(image=image, mask=pictures.mask(size)).status_code == 202
        engine = api.work(engine)
    assert len(api.get("/identities").json()["items"]) == 1


def test_a_dry_run_names_the_identity_that_the_edit_will_learn(api: Api) -> None:
    report_loaded(api.artifacts, api.services.settings.model, FakeEngine.facts)
    parts = {"image": canary_files()["jpeg"], "mask": pictures.mask(upright("jpeg"))}
    foreseen = api.edit(dry_run="true", **parts)
    assert foreseen.status_code == 200, foreseen.json()
    answer = api.edit(**parts)
    api.work()
    assert api.get(answer.headers["location"]).json()["identity"] == foreseen.json()["identity"] is not None


def test_the_same_key_is_the_same_edit_and_one_of_other_metadata_another_request(api: Api) -> None:
    parts = {"image": canary_files()["jpeg"], "mask": pictures.mask(upright("jpeg")), "headers": {"Idempotency-Key": "k"}}
    first, again = api.edit(**parts), api.edit(**parts)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    other = api.edit(**{**parts, "image": saved("JPEG", exif=exif(6), quality=90)})
    assert_problem(other, 422, "idempotency_key_reused")


def test_a_file_in_disorder_is_refused_though_it_could_be_decoded(api: Api) -> None:
    data = pictures.photo()
    before = api.kept()
    answer = api.edit(image=data[:-8])  # its last chunk has no end
    assert_problem(answer, 422, "image_damaged", "image")
    assert "save it again" in answer.json()["detail"]
    assert api.kept() == before


class TestUploads:
    """Uploads reach the store unchanged. The edit that uses one removes the metadata there too."""

    def objects(self, app: App) -> dict[str, bytes]:
        return {key: app.store.get(key) for key in app.store.list("")}

    def sent(self, app: App, name: str = "jpeg") -> tuple[str, str]:
        """Upload a photo and its mask; return their ids."""
        kind = next(kind for start, kind in KINDS.items() if name.startswith(start))
        return app.upload(canary_files()[name], media_type=kind), app.upload(pictures.mask(upright(name)))

    @pytest.mark.parametrize("name", list(canary_files()))
    def test_nothing_is_left_of_them_once_an_edit_has_named_them(self, app: App, name: str) -> None:
        image, mask = self.sent(app, name)
        assert app.edit(image=image, mask=mask).status_code == 202
        assert_tells_nothing(self.objects(app))
        for again in (image, mask):
            assert app.http.get(f"/uploads/{again}").json()["state"] == "arrived"

    def test_they_can_be_named_again_and_are_the_same_picture(self, app: App) -> None:
        image, mask = self.sent(app)
        ids = [app.edit(image=image, mask=mask).json()["id"] for _ in range(2)]
        specs = [json.loads(app.store.get(f"{OWNER.prefix}edits/{one}/spec.json")) for one in ids]
        assert specs[0]["inputs"]["image"]["sha256"] == specs[1]["inputs"]["image"]["sha256"]

    def test_the_same_key_finds_the_same_edit_afterwards(self, app: App) -> None:
        image, mask = self.sent(app)
        first, again = (app.edit(image=image, mask=mask, headers={"Idempotency-Key": "k"}) for _ in range(2))
        assert (first.status_code, again.status_code) == (202, 202)
        assert first.json()["id"] == again.json()["id"]

    def test_the_link_that_sent_them_does_not_bring_them_back(self, app: App) -> None:
        data = canary_files()["jpeg"]
        announced = app.announce(data, media_type="image/jpeg")
        assert app.send(announced, data).status_code == 200
        image, mask = announced.json()["id"], app.upload(pictures.mask(upright("jpeg")))
        assert app.edit(image=image, mask=mask).status_code == 202
        assert_problem(app.send(announced, data), 412, "already_exists")
        assert_tells_nothing(self.objects(app))
        assert app.edit(image=image, mask=mask).status_code == 202

    def test_one_that_is_emptied_while_it_is_read_is_read_without_them(self, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
        """Two edits name an upload at one moment. The second has begun to read when the first replaces the file."""
        for reading in ("size_bytes", "get"):
            image, _ = self.sent(app)
            kept, read = self.kept(app, image), getattr(FilesystemArtifactStore, reading)

            def replaced_first(
                store: FilesystemArtifactStore, key: str, image: str = image, kept: Upload = kept, read: Any = read
            ) -> Any:
                if key.endswith("file.jpg"):
                    monkeypatch.undo()
                    Uploads(app.services).replace(OWNER, image, kept)
                return read(store, key)

            monkeypatch.setattr(FilesystemArtifactStore, reading, replaced_first)
            assert Uploads(app.services).take(OWNER, image).data == kept.data

    def test_what_has_none_is_left_as_it_is(self, app: App) -> None:
        image, mask = app.upload(pictures.photo()), app.upload(pictures.mask())
        before = {key: data for key, data in self.objects(app).items() if "/uploads/" in key}
        assert app.edit(image=image, mask=mask).status_code == 202
        assert {key: data for key, data in self.objects(app).items() if "/uploads/" in key} == before

    def test_a_dry_run_changes_nothing(self, app: App) -> None:
        image, mask = self.sent(app)
        before = self.objects(app)
        assert app.edit(image=image, mask=mask, dry_run=True).status_code == 200
        assert self.objects(app) == before

    @pytest.mark.parametrize("dies_at", ["bare.jpg", "bare.json", "file.jpg"])
    def test_whoever_dies_on_the_way_leaves_an_upload_that_can_be_used(
        self, app: App, monkeypatch: pytest.MonkeyPatch, dies_at: str
    ) -> None:
        image, mask = self.sent(app)
        put, delete = FilesystemArtifactStore.put, FilesystemArtifactStore.delete_prefix

        def dies(here: Any) -> Any:
            def call(store: FilesystemArtifactStore, key: str, *values: Any, **named: Any) -> Any:
                if key.endswith(dies_at):
                    raise KeyboardInterrupt
                return here(store, key, *values, **named)

            return call

        with monkeypatch.context() as patch:
            patch.setattr(FilesystemArtifactStore, "put", dies(put))
            patch.setattr(FilesystemArtifactStore, "delete_prefix", dies(delete))
            with pytest.raises(KeyboardInterrupt):
                Uploads(app.services).replace(OWNER, image, self.kept(app, image))
        assert app.edit(image=image, mask=mask).status_code == 202
        assert_tells_nothing(self.objects(app))

    def kept(self, app: App, upload_id: str) -> Upload:
        return Uploads(app.services).take(OWNER, upload_id).without_metadata(6, "image")

    def test_one_that_was_erased_meanwhile_leaves_nothing(self, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
        image, _ = self.sent(app)
        kept, put = self.kept(app, image), FilesystemArtifactStore.put

        def erased_first(store: FilesystemArtifactStore, key: str, *values: Any, **named: Any) -> Any:
            if key.endswith("bare.jpg"):
                store.delete_prefix(upload_key(OWNER, image, ""))
            return put(store, key, *values, **named)

        monkeypatch.setattr(FilesystemArtifactStore, "put", erased_first)
        with pytest.raises(UploadNotFound):
            Uploads(app.services).replace(OWNER, image, kept)
        assert list(app.store.list(upload_key(OWNER, image, ""))) == []

    def test_what_was_changed_in_the_store_is_refused(self, app: App) -> None:
        image, mask = self.sent(app)
        assert app.edit(image=image, mask=mask).status_code == 202
        app.store.put(upload_key(OWNER, image, "bare.jpg"), saved("JPEG"), media_type="image/jpeg")
        assert_problem(app.edit(image=image, mask=mask), 422, "upload_mismatch", "image")

    def test_it_is_held_to_the_digest_of_what_was_sent(self, app: App) -> None:
        data = canary_files()["jpeg"]
        wrong = app.announce(data, media_type="image/jpeg", sha256=hashlib.sha256(b"other").hexdigest())
        app.send(wrong, data)
        mask = app.upload(pictures.mask(upright("jpeg")))
        assert_problem(app.edit(image=wrong.json()["id"], mask=mask), 422, "upload_mismatch", "image")
