from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any, TypeVar

from attrs import define as _attrs_define

from .. import types
from ..types import UNSET, File, FileTypes, Unset

T = TypeVar("T", bound="MaskForm")


@_attrs_define
class MaskForm:
    """The parts of `POST /masks`.

    Attributes:
        image (File | Unset): The photo: PNG, JPEG, WebP, AVIF or HEIC, at most 50 megapixels, or with `max_pixels` 110
        max_pixels (int | Unset): Scale a photo of more pixels down to so many, 65,536 to 50,000,000; masks follow it.
            Left out: nothing is scaled, and a photo of more than 50 megapixels is refused
        deadline_s (float | Unset): Seconds from now after which it is no longer wanted
        webhook_url (str | Unset): https:// address that is told when the job is over, as of an edit
        prompt (str | Unset): What the photo shows: an edit's `source_prompt`. Some ways to find a person go by it
        at (str | Unset): Where no mask is sent: the pixel of the person that is meant, as `x,y` (such as `512,384`)
            from the upper left corner of the photo as it is seen. Left out: the largest person
    """

    image: File | Unset = UNSET
    max_pixels: int | Unset = UNSET
    deadline_s: float | Unset = UNSET
    webhook_url: str | Unset = UNSET
    prompt: str | Unset = UNSET
    at: str | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        image: FileTypes | Unset = UNSET
        if not isinstance(self.image, Unset):
            image = self.image.to_tuple()

        max_pixels = self.max_pixels

        deadline_s = self.deadline_s

        webhook_url = self.webhook_url

        prompt = self.prompt

        at = self.at

        field_dict: dict[str, Any] = {}

        field_dict.update({})
        if image is not UNSET:
            field_dict["image"] = image
        if max_pixels is not UNSET:
            field_dict["max_pixels"] = max_pixels
        if deadline_s is not UNSET:
            field_dict["deadline_s"] = deadline_s
        if webhook_url is not UNSET:
            field_dict["webhook_url"] = webhook_url
        if prompt is not UNSET:
            field_dict["prompt"] = prompt
        if at is not UNSET:
            field_dict["at"] = at

        return field_dict

    def to_multipart(self) -> types.RequestFiles:
        files: types.RequestFiles = []

        if not isinstance(self.image, Unset):
            files.append(("image", self.image.to_tuple()))

        if not isinstance(self.max_pixels, Unset):
            files.append(("max_pixels", (None, str(self.max_pixels).encode(), "text/plain")))

        if not isinstance(self.deadline_s, Unset):
            files.append(("deadline_s", (None, str(self.deadline_s).encode(), "text/plain")))

        if not isinstance(self.webhook_url, Unset):
            files.append(("webhook_url", (None, str(self.webhook_url).encode(), "text/plain")))

        if not isinstance(self.prompt, Unset):
            files.append(("prompt", (None, str(self.prompt).encode(), "text/plain")))

        if not isinstance(self.at, Unset):
            files.append(("at", (None, str(self.at).encode(), "text/plain")))

        return files

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        _image = d.pop("image", UNSET)
        image: File | Unset
        if isinstance(_image, Unset):
            image = UNSET
        else:
            image = File(payload=BytesIO(_image))

        max_pixels = d.pop("max_pixels", UNSET)

        deadline_s = d.pop("deadline_s", UNSET)

        webhook_url = d.pop("webhook_url", UNSET)

        prompt = d.pop("prompt", UNSET)

        at = d.pop("at", UNSET)

        mask_form = cls(
            image=image,
            max_pixels=max_pixels,
            deadline_s=deadline_s,
            webhook_url=webhook_url,
            prompt=prompt,
            at=at,
        )

        return mask_form
