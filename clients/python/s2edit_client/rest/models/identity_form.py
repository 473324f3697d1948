from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any, TypeVar

from attrs import define as _attrs_define

from .. import types
from ..models.identity_form_mask_mode import IdentityFormMaskMode
from ..models.identity_form_preset import IdentityFormPreset
from ..types import UNSET, File, FileTypes, Unset

T = TypeVar("T", bound="IdentityForm")


@_attrs_define
class IdentityForm:
    """The parts of `POST /identities`: a person, learned ahead of any edit.

    Attributes:
        prompt (str): What the photo shows: an edit's `source_prompt`
        image (File | Unset): The photo: PNG, JPEG, WebP, AVIF or HEIC, at most 50 megapixels, or with `max_pixels` 110
        max_pixels (int | Unset): Scale a photo of more pixels down to so many, 65,536 to 50,000,000; masks follow it.
            Left out: nothing is scaled, and a photo of more than 50 megapixels is refused
        deadline_s (float | Unset): Seconds from now after which it is no longer wanted
        webhook_url (str | Unset): https:// address that is told when the job is over, as of an edit
        mask (File | Unset): The person's region: white inside, black outside, of the photo's frame. Left out: the
            person is found
        preset (IdentityFormPreset | Unset): As of an edit; default `balanced`
        seed (int | Unset): 0 to 2⁶³ − 1; default 0
        mask_mode (IdentityFormMaskMode | Unset): How `mask` marks the region, as of an edit; default `auto`
        consent (str | Unset): That the person in the photo agrees to its use, in your words; kept with the request and
            with an identity
        at (str | Unset): Where no mask is sent: the pixel of the person that is meant, as `x,y` (such as `512,384`)
            from the upper left corner of the photo as it is seen. Left out: the largest person
        subject (str | Unset): The word of the prompt that names the person. Left out: searched for
        identity_ttl_s (float | Unset): Seconds after which the identity is erased
    """

    prompt: str
    image: File | Unset = UNSET
    max_pixels: int | Unset = UNSET
    deadline_s: float | Unset = UNSET
    webhook_url: str | Unset = UNSET
    mask: File | Unset = UNSET
    preset: IdentityFormPreset | Unset = UNSET
    seed: int | Unset = UNSET
    mask_mode: IdentityFormMaskMode | Unset = UNSET
    consent: str | Unset = UNSET
    at: str | Unset = UNSET
    subject: str | Unset = UNSET
    identity_ttl_s: float | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        prompt = self.prompt

        image: FileTypes | Unset = UNSET
        if not isinstance(self.image, Unset):
            image = self.image.to_tuple()

        max_pixels = self.max_pixels

        deadline_s = self.deadline_s

        webhook_url = self.webhook_url

        mask: FileTypes | Unset = UNSET
        if not isinstance(self.mask, Unset):
            mask = self.mask.to_tuple()

        preset: str | Unset = UNSET
        if not isinstance(self.preset, Unset):
            preset = self.preset.value

        seed = self.seed

        mask_mode: str | Unset = UNSET
        if not isinstance(self.mask_mode, Unset):
            mask_mode = self.mask_mode.value

        consent = self.consent

        at = self.at

        subject = self.subject

        identity_ttl_s = self.identity_ttl_s

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "prompt": prompt,
            }
        )
        if image is not UNSET:
            field_dict["image"] = image
        if max_pixels is not UNSET:
            field_dict["max_pixels"] = max_pixels
        if deadline_s is not UNSET:
            field_dict["deadline_s"] = deadline_s
        if webhook_url is not UNSET:
            field_dict["webhook_url"] = webhook_url
        if mask is not UNSET:
            field_dict["mask"] = mask
        if preset is not UNSET:
            field_dict["preset"] = preset
        if seed is not UNSET:
            field_dict["seed"] = seed
        if mask_mode is not UNSET:
            field_dict["mask_mode"] = mask_mode
        if consent is not UNSET:
            field_dict["consent"] = consent
        if at is not UNSET:
            field_dict["at"] = at
        if subject is not UNSET:
            field_dict["subject"] = subject
        if identity_ttl_s is not UNSET:
            field_dict["identity_ttl_s"] = identity_ttl_s

        return field_dict

    def to_multipart(self) -> types.RequestFiles:
        files: types.RequestFiles = []

        files.append(("prompt", (None, str(self.prompt).encode(), "text/plain")))

        if not isinstance(self.image, Unset):
            files.append(("image", self.image.to_tuple()))

        if not isinstance(self.max_pixels, Unset):
            files.append(("max_pixels", (None, str(self.max_pixels).encode(), "text/plain")))

        if not isinstance(self.deadline_s, Unset):
            files.append(("deadline_s", (None, str(self.deadline_s).encode(), "text/plain")))

        if not isinstance(self.webhook_url, Unset):
            files.append(("webhook_url", (None, str(self.webhook_url).encode(), "text/plain")))

        if not isinstance(self.mask, Unset):
            files.append(("mask", self.mask.to_tuple()))

        if not isinstance(self.preset, Unset):
            files.append(("preset", (None, str(self.preset.value).encode(), "text/plain")))

        if not isinstance(self.seed, Unset):
            files.append(("seed", (None, str(self.seed).encode(), "text/plain")))

        if not isinstance(self.mask_mode, Unset):
            files.append(("mask_mode", (None, str(self.mask_mode.value).encode(), "text/plain")))

        if not isinstance(self.consent, Unset):
            files.append(("consent", (None, str(self.consent).encode(), "text/plain")))

        if not isinstance(self.at, Unset):
            files.append(("at", (None, str(self.at).encode(), "text/plain")))

        if not isinstance(self.subject, Unset):
            files.append(("subject", (None, str(self.subject).encode(), "text/plain")))

        if not isinstance(self.identity_ttl_s, Unset):
            files.append(("identity_ttl_s", (None, str(self.identity_ttl_s).encode(), "text/plain")))

        return files

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        prompt = d.pop("prompt")

        _image = d.pop("image", UNSET)
        image: File | Unset
        if isinstance(_image, Unset):
            image = UNSET
        else:
            image = File(payload=BytesIO(_image))

        max_pixels = d.pop("max_pixels", UNSET)

        deadline_s = d.pop("deadline_s", UNSET)

        webhook_url = d.pop("webhook_url", UNSET)

        _mask = d.pop("mask", UNSET)
        mask: File | Unset
        if isinstance(_mask, Unset):
            mask = UNSET
        else:
            mask = File(payload=BytesIO(_mask))

        _preset = d.pop("preset", UNSET)
        preset: IdentityFormPreset | Unset
        if isinstance(_preset, Unset):
            preset = UNSET
        else:
            preset = IdentityFormPreset(_preset)

        seed = d.pop("seed", UNSET)

        _mask_mode = d.pop("mask_mode", UNSET)
        mask_mode: IdentityFormMaskMode | Unset
        if isinstance(_mask_mode, Unset):
            mask_mode = UNSET
        else:
            mask_mode = IdentityFormMaskMode(_mask_mode)

        consent = d.pop("consent", UNSET)

        at = d.pop("at", UNSET)

        subject = d.pop("subject", UNSET)

        identity_ttl_s = d.pop("identity_ttl_s", UNSET)

        identity_form = cls(
            prompt=prompt,
            image=image,
            max_pixels=max_pixels,
            deadline_s=deadline_s,
            webhook_url=webhook_url,
            mask=mask,
            preset=preset,
            seed=seed,
            mask_mode=mask_mode,
            consent=consent,
            at=at,
            subject=subject,
            identity_ttl_s=identity_ttl_s,
        )

        return identity_form
