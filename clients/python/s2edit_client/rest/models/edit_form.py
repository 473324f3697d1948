from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define

from .. import types
from ..models.edit_form_edit_mask_mode import EditFormEditMaskMode
from ..models.edit_form_mask_mode import EditFormMaskMode
from ..models.edit_form_output_format import EditFormOutputFormat
from ..models.edit_form_preset import EditFormPreset
from ..types import UNSET, File, FileTypes, Unset

T = TypeVar("T", bound="EditForm")


@_attrs_define
class EditForm:
    """The parts of `POST /edits`.

    Attributes:
        prompt (str): What the picture shall show, in English; an instruction (“make her hair blond”) is refused
        source_prompt (str | Unset): What the photo shows now. Left out: the identity's, else what the service's
            captioner says of the photo, else “a photo of a <subject>”
        subject (str | Unset): The word of both prompts that names the person, or up to four words. Left out: the
            identity's, else searched for
        identity (str | Unset): A learned identity, from a former edit's `identity`
        attributes (list[str] | Unset): Ids of learned attributes, one part each, at most 4: the prompt holds the
            placeholder of each, as in “a woman with [A] makeup”. They act where the edit may change the photo
        parent (str | Unset): A former edit to go on from: its result is the photo, its identity and its mask are used
            again, and its prompt is the source prompt, each unless given here. `image` is left out
        preset (EditFormPreset | Unset): `balanced` (default), `paper` (null-text as published, slow) or `instant`
            (fewer steps)
        steps (int | Unset): Denoising steps, 2 to 999. Left out: the preset's
        guidance_scale (float | Unset): How strongly the prompt pulls, 1 to 30. Left out: what model and preset
            recommend
        negative_prompt (str | Unset): What the picture shall not show, in plain words and without placeholders. It acts
            through guidance, so only with a `guidance_scale` above 1
        strength (float | Unset): How far back towards noise the edit starts: 1/`steps` or more, so that one step is
            run; at most 1 (default). Lower values stay nearer to the photo. With `variants` it is 1
        output_format (EditFormOutputFormat | Unset): `png` (default, also for a photo that came as a JPEG: encoding it
            as one again would change pixels outside the edit mask), `jpeg` or `webp`. The report's `outside_edit_mask` says
            by how much the file differs there
        output_quality (int | Unset): Of a JPEG or WebP, 1 to 100; default 95. A WebP of 100 is lossless. Not for PNG
        keep_alpha (bool | Unset): Whether the result is as transparent as the photo. Left out: yes, where the format
            can be; a JPEG is laid on white. `false` lays it on white in any format
        seed (int | Unset): Same inputs and same seed, same picture. 0 to 2⁶³ − 1; default 0
        mask_mode (EditFormMaskMode | Unset): How `mask` marks the region: `luminance` (white), `alpha` (what is painted
            on transparent) or `inverted_alpha` (what is transparent). Left out, `auto`: white or painted; refused where it
            may mean either. Another mode without a mask is refused too
        edit_mask_mode (EditFormEditMaskMode | Unset): How `edit_mask` marks it, where it is not as `mask_mode` says;
            only with an `edit_mask`
        consent (str | Unset): That the person in the photo agrees to being learned and edited, in your words; kept with
            the identity
        identity_ttl_s (float | Unset): Seconds after which the identity that is learned is erased
        variants (int | Unset): Pictures, 1 to 8; default 1. The first is the edit itself, the others start from the
            same inversion with noise that is partly drawn anew, by the seeds that follow
        max_pixels (int | Unset): Scale a photo of more pixels down to so many, 65,536 to 50,000,000; masks follow it.
            Left out: nothing is scaled, and a photo of more than 50 megapixels is refused
        deadline_s (float | Unset): Seconds from now after which the edit is no longer wanted; it then fails with
            `deadline_exceeded`
        webhook_url (str | Unset): https:// address that is told, at least once, when the edit is over; by the Standard
            Webhooks rules
        dry_run (bool | Unset): Check everything, say what would be done and how long it may take, and keep nothing
            Default: False.
        image (File | Unset): The photo: PNG, JPEG, WebP, AVIF or HEIC, at most 50 megapixels, or with `max_pixels` 110.
            Left out where `identity` is given
        mask (File | Unset): The person's region: white inside, black outside, of the photo's frame. Left out: the
            identity's or the parent's, else the person is found
        at (str | Unset): Where no mask is sent: the pixel of the person that is meant, as `x,y` (such as `512,384`)
            from the upper left corner of the photo as it is seen. Left out: the largest person
        edit_mask (File | Unset): What may change, drawn like `mask`. Left out: the mask, grown a little
    """

    prompt: str
    source_prompt: str | Unset = UNSET
    subject: str | Unset = UNSET
    identity: str | Unset = UNSET
    attributes: list[str] | Unset = UNSET
    parent: str | Unset = UNSET
    preset: EditFormPreset | Unset = UNSET
    steps: int | Unset = UNSET
    guidance_scale: float | Unset = UNSET
    negative_prompt: str | Unset = UNSET
    strength: float | Unset = UNSET
    output_format: EditFormOutputFormat | Unset = UNSET
    output_quality: int | Unset = UNSET
    keep_alpha: bool | Unset = UNSET
    seed: int | Unset = UNSET
    mask_mode: EditFormMaskMode | Unset = UNSET
    edit_mask_mode: EditFormEditMaskMode | Unset = UNSET
    consent: str | Unset = UNSET
    identity_ttl_s: float | Unset = UNSET
    variants: int | Unset = UNSET
    max_pixels: int | Unset = UNSET
    deadline_s: float | Unset = UNSET
    webhook_url: str | Unset = UNSET
    dry_run: bool | Unset = False
    image: File | Unset = UNSET
    mask: File | Unset = UNSET
    at: str | Unset = UNSET
    edit_mask: File | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        prompt = self.prompt

        source_prompt = self.source_prompt

        subject = self.subject

        identity = self.identity

        attributes: list[str] | Unset = UNSET
        if not isinstance(self.attributes, Unset):
            attributes = self.attributes

        parent = self.parent

        preset: str | Unset = UNSET
        if not isinstance(self.preset, Unset):
            preset = self.preset.value

        steps = self.steps

        guidance_scale = self.guidance_scale

        negative_prompt = self.negative_prompt

        strength = self.strength

        output_format: str | Unset = UNSET
        if not isinstance(self.output_format, Unset):
            output_format = self.output_format.value

        output_quality = self.output_quality

        keep_alpha = self.keep_alpha

        seed = self.seed

        mask_mode: str | Unset = UNSET
        if not isinstance(self.mask_mode, Unset):
            mask_mode = self.mask_mode.value

        edit_mask_mode: str | Unset = UNSET
        if not isinstance(self.edit_mask_mode, Unset):
            edit_mask_mode = self.edit_mask_mode.value

        consent = self.consent

        identity_ttl_s = self.identity_ttl_s

        variants = self.variants

        max_pixels = self.max_pixels

        deadline_s = self.deadline_s

        webhook_url = self.webhook_url

        dry_run = self.dry_run

        image: FileTypes | Unset = UNSET
        if not isinstance(self.image, Unset):
            image = self.image.to_tuple()

        mask: FileTypes | Unset = UNSET
        if not isinstance(self.mask, Unset):
            mask = self.mask.to_tuple()

        at = self.at

        edit_mask: FileTypes | Unset = UNSET
        if not isinstance(self.edit_mask, Unset):
            edit_mask = self.edit_mask.to_tuple()

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "prompt": prompt,
            }
        )
        if source_prompt is not UNSET:
            field_dict["source_prompt"] = source_prompt
        if subject is not UNSET:
            field_dict["subject"] = subject
        if identity is not UNSET:
            field_dict["identity"] = identity
        if attributes is not UNSET:
            field_dict["attributes"] = attributes
        if parent is not UNSET:
            field_dict["parent"] = parent
        if preset is not UNSET:
            field_dict["preset"] = preset
        if steps is not UNSET:
            field_dict["steps"] = steps
        if guidance_scale is not UNSET:
            field_dict["guidance_scale"] = guidance_scale
        if negative_prompt is not UNSET:
            field_dict["negative_prompt"] = negative_prompt
        if strength is not UNSET:
            field_dict["strength"] = strength
        if output_format is not UNSET:
            field_dict["output_format"] = output_format
        if output_quality is not UNSET:
            field_dict["output_quality"] = output_quality
        if keep_alpha is not UNSET:
            field_dict["keep_alpha"] = keep_alpha
        if seed is not UNSET:
            field_dict["seed"] = seed
        if mask_mode is not UNSET:
            field_dict["mask_mode"] = mask_mode
        if edit_mask_mode is not UNSET:
            field_dict["edit_mask_mode"] = edit_mask_mode
        if consent is not UNSET:
            field_dict["consent"] = consent
        if identity_ttl_s is not UNSET:
            field_dict["identity_ttl_s"] = identity_ttl_s
        if variants is not UNSET:
            field_dict["variants"] = variants
        if max_pixels is not UNSET:
            field_dict["max_pixels"] = max_pixels
        if deadline_s is not UNSET:
            field_dict["deadline_s"] = deadline_s
        if webhook_url is not UNSET:
            field_dict["webhook_url"] = webhook_url
        if dry_run is not UNSET:
            field_dict["dry_run"] = dry_run
        if image is not UNSET:
            field_dict["image"] = image
        if mask is not UNSET:
            field_dict["mask"] = mask
        if at is not UNSET:
            field_dict["at"] = at
        if edit_mask is not UNSET:
            field_dict["edit_mask"] = edit_mask

        return field_dict

    def to_multipart(self) -> types.RequestFiles:
        files: types.RequestFiles = []

        files.append(("prompt", (None, str(self.prompt).encode(), "text/plain")))

        if not isinstance(self.source_prompt, Unset):
            files.append(("source_prompt", (None, str(self.source_prompt).encode(), "text/plain")))

        if not isinstance(self.subject, Unset):
            files.append(("subject", (None, str(self.subject).encode(), "text/plain")))

        if not isinstance(self.identity, Unset):
            files.append(("identity", (None, str(self.identity).encode(), "text/plain")))

        if not isinstance(self.attributes, Unset):
            for attributes_item_element in self.attributes:
                files.append(("attributes", (None, str(attributes_item_element).encode(), "text/plain")))

        if not isinstance(self.parent, Unset):
            files.append(("parent", (None, str(self.parent).encode(), "text/plain")))

        if not isinstance(self.preset, Unset):
            files.append(("preset", (None, str(self.preset.value).encode(), "text/plain")))

        if not isinstance(self.steps, Unset):
            files.append(("steps", (None, str(self.steps).encode(), "text/plain")))

        if not isinstance(self.guidance_scale, Unset):
            files.append(("guidance_scale", (None, str(self.guidance_scale).encode(), "text/plain")))

        if not isinstance(self.negative_prompt, Unset):
            files.append(("negative_prompt", (None, str(self.negative_prompt).encode(), "text/plain")))

        if not isinstance(self.strength, Unset):
            files.append(("strength", (None, str(self.strength).encode(), "text/plain")))

        if not isinstance(self.output_format, Unset):
            files.append(("output_format", (None, str(self.output_format.value).encode(), "text/plain")))

        if not isinstance(self.output_quality, Unset):
            files.append(("output_quality", (None, str(self.output_quality).encode(), "text/plain")))

        if not isinstance(self.keep_alpha, Unset):
            files.append(("keep_alpha", (None, str(self.keep_alpha).encode(), "text/plain")))

        if not isinstance(self.seed, Unset):
            files.append(("seed", (None, str(self.seed).encode(), "text/plain")))

        if not isinstance(self.mask_mode, Unset):
            files.append(("mask_mode", (None, str(self.mask_mode.value).encode(), "text/plain")))

        if not isinstance(self.edit_mask_mode, Unset):
            files.append(("edit_mask_mode", (None, str(self.edit_mask_mode.value).encode(), "text/plain")))

        if not isinstance(self.consent, Unset):
            files.append(("consent", (None, str(self.consent).encode(), "text/plain")))

        if not isinstance(self.identity_ttl_s, Unset):
            files.append(("identity_ttl_s", (None, str(self.identity_ttl_s).encode(), "text/plain")))

        if not isinstance(self.variants, Unset):
            files.append(("variants", (None, str(self.variants).encode(), "text/plain")))

        if not isinstance(self.max_pixels, Unset):
            files.append(("max_pixels", (None, str(self.max_pixels).encode(), "text/plain")))

        if not isinstance(self.deadline_s, Unset):
            files.append(("deadline_s", (None, str(self.deadline_s).encode(), "text/plain")))

        if not isinstance(self.webhook_url, Unset):
            files.append(("webhook_url", (None, str(self.webhook_url).encode(), "text/plain")))

        if not isinstance(self.dry_run, Unset):
            files.append(("dry_run", (None, str(self.dry_run).encode(), "text/plain")))

        if not isinstance(self.image, Unset):
            files.append(("image", self.image.to_tuple()))

        if not isinstance(self.mask, Unset):
            files.append(("mask", self.mask.to_tuple()))

        if not isinstance(self.at, Unset):
            files.append(("at", (None, str(self.at).encode(), "text/plain")))

        if not isinstance(self.edit_mask, Unset):
            files.append(("edit_mask", self.edit_mask.to_tuple()))

        return files

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        prompt = d.pop("prompt")

        source_prompt = d.pop("source_prompt", UNSET)

        subject = d.pop("subject", UNSET)

        identity = d.pop("identity", UNSET)

        attributes = cast(list[str], d.pop("attributes", UNSET))

        parent = d.pop("parent", UNSET)

        _preset = d.pop("preset", UNSET)
        preset: EditFormPreset | Unset
        if isinstance(_preset, Unset):
            preset = UNSET
        else:
            preset = EditFormPreset(_preset)

        steps = d.pop("steps", UNSET)

        guidance_scale = d.pop("guidance_scale", UNSET)

        negative_prompt = d.pop("negative_prompt", UNSET)

        strength = d.pop("strength", UNSET)

        _output_format = d.pop("output_format", UNSET)
        output_format: EditFormOutputFormat | Unset
        if isinstance(_output_format, Unset):
            output_format = UNSET
        else:
            output_format = EditFormOutputFormat(_output_format)

        output_quality = d.pop("output_quality", UNSET)

        keep_alpha = d.pop("keep_alpha", UNSET)

        seed = d.pop("seed", UNSET)

        _mask_mode = d.pop("mask_mode", UNSET)
        mask_mode: EditFormMaskMode | Unset
        if isinstance(_mask_mode, Unset):
            mask_mode = UNSET
        else:
            mask_mode = EditFormMaskMode(_mask_mode)

        _edit_mask_mode = d.pop("edit_mask_mode", UNSET)
        edit_mask_mode: EditFormEditMaskMode | Unset
        if isinstance(_edit_mask_mode, Unset):
            edit_mask_mode = UNSET
        else:
            edit_mask_mode = EditFormEditMaskMode(_edit_mask_mode)

        consent = d.pop("consent", UNSET)

        identity_ttl_s = d.pop("identity_ttl_s", UNSET)

        variants = d.pop("variants", UNSET)

        max_pixels = d.pop("max_pixels", UNSET)

        deadline_s = d.pop("deadline_s", UNSET)

        webhook_url = d.pop("webhook_url", UNSET)

        dry_run = d.pop("dry_run", UNSET)

        _image = d.pop("image", UNSET)
        image: File | Unset
        if isinstance(_image, Unset):
            image = UNSET
        else:
            image = File(payload=BytesIO(_image))

        _mask = d.pop("mask", UNSET)
        mask: File | Unset
        if isinstance(_mask, Unset):
            mask = UNSET
        else:
            mask = File(payload=BytesIO(_mask))

        at = d.pop("at", UNSET)

        _edit_mask = d.pop("edit_mask", UNSET)
        edit_mask: File | Unset
        if isinstance(_edit_mask, Unset):
            edit_mask = UNSET
        else:
            edit_mask = File(payload=BytesIO(_edit_mask))

        edit_form = cls(
            prompt=prompt,
            source_prompt=source_prompt,
            subject=subject,
            identity=identity,
            attributes=attributes,
            parent=parent,
            preset=preset,
            steps=steps,
            guidance_scale=guidance_scale,
            negative_prompt=negative_prompt,
            strength=strength,
            output_format=output_format,
            output_quality=output_quality,
            keep_alpha=keep_alpha,
            seed=seed,
            mask_mode=mask_mode,
            edit_mask_mode=edit_mask_mode,
            consent=consent,
            identity_ttl_s=identity_ttl_s,
            variants=variants,
            max_pixels=max_pixels,
            deadline_s=deadline_s,
            webhook_url=webhook_url,
            dry_run=dry_run,
            image=image,
            mask=mask,
            at=at,
            edit_mask=edit_mask,
        )

        return edit_form
