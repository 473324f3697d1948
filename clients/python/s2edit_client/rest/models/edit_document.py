from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define

from ..models.edit_document_edit_mask_mode_type_0 import EditDocumentEditMaskModeType0
from ..models.edit_document_mask_mode_type_0 import EditDocumentMaskModeType0
from ..models.edit_document_output_format_type_0 import EditDocumentOutputFormatType0
from ..models.edit_document_preset_type_0 import EditDocumentPresetType0
from ..types import UNSET, Unset

T = TypeVar("T", bound="EditDocument")


@_attrs_define
class EditDocument:
    """`POST /edits` as JSON: the pictures are uploads that have been sent before. Null is as good as left out.

    Attributes:
        prompt (str): What the picture shall show, in English; an instruction (“make her hair blond”) is refused
        source_prompt (None | str | Unset): What the photo shows now. Left out: the identity's, else what the service's
            captioner says of the photo, else “a photo of a <subject>”
        subject (None | str | Unset): The word of both prompts that names the person, or up to four words. Left out: the
            identity's, else searched for
        identity (None | str | Unset): A learned identity, from a former edit's `identity`
        attributes (list[str] | None | Unset): Ids of learned attributes, one part each, at most 4: the prompt holds the
            placeholder of each, as in “a woman with [A] makeup”. They act where the edit may change the photo
        parent (None | str | Unset): A former edit to go on from: its result is the photo, its identity and its mask are
            used again, and its prompt is the source prompt, each unless given here. `image` is left out
        preset (EditDocumentPresetType0 | None | Unset): `balanced` (default), `paper` (null-text as published, slow) or
            `instant` (fewer steps)
        steps (int | None | Unset): Denoising steps, 2 to 999. Left out: the preset's
        guidance_scale (float | None | Unset): How strongly the prompt pulls, 1 to 30. Left out: what model and preset
            recommend
        negative_prompt (None | str | Unset): What the picture shall not show, in plain words and without placeholders.
            It acts through guidance, so only with a `guidance_scale` above 1
        strength (float | None | Unset): How far back towards noise the edit starts: 1/`steps` or more, so that one step
            is run; at most 1 (default). Lower values stay nearer to the photo. With `variants` it is 1
        output_format (EditDocumentOutputFormatType0 | None | Unset): `png` (default, also for a photo that came as a
            JPEG: encoding it as one again would change pixels outside the edit mask), `jpeg` or `webp`. The report's
            `outside_edit_mask` says by how much the file differs there
        output_quality (int | None | Unset): Of a JPEG or WebP, 1 to 100; default 95. A WebP of 100 is lossless. Not for
            PNG
        keep_alpha (bool | None | Unset): Whether the result is as transparent as the photo. Left out: yes, where the
            format can be; a JPEG is laid on white. `false` lays it on white in any format
        seed (int | None | Unset): Same inputs and same seed, same picture. 0 to 2⁶³ − 1; default 0
        mask_mode (EditDocumentMaskModeType0 | None | Unset): How `mask` marks the region: `luminance` (white), `alpha`
            (what is painted on transparent) or `inverted_alpha` (what is transparent). Left out, `auto`: white or painted;
            refused where it may mean either. Another mode without a mask is refused too
        edit_mask_mode (EditDocumentEditMaskModeType0 | None | Unset): How `edit_mask` marks it, where it is not as
            `mask_mode` says; only with an `edit_mask`
        consent (None | str | Unset): That the person in the photo agrees to being learned and edited, in your words;
            kept with the identity
        identity_ttl_s (float | None | Unset): Seconds after which the identity that is learned is erased
        variants (int | None | Unset): Pictures, 1 to 8; default 1. The first is the edit itself, the others start from
            the same inversion with noise that is partly drawn anew, by the seeds that follow
        max_pixels (int | None | Unset): Scale a photo of more pixels down to so many, 65,536 to 50,000,000; masks
            follow it. Left out: nothing is scaled, and a photo of more than 50 megapixels is refused
        deadline_s (float | None | Unset): Seconds from now after which the edit is no longer wanted; it then fails with
            `deadline_exceeded`
        webhook_url (None | str | Unset): https:// address that is told, at least once, when the edit is over; by the
            Standard Webhooks rules
        dry_run (bool | Unset): Check everything, say what would be done and how long it may take, and keep nothing
            Default: False.
        image (None | str | Unset): An upload's id: the photo. Left out where `identity` is given
        mask (None | str | Unset): An upload's id: the person's region. Left out: the identity's or the parent's, else
            the person is found
        at (list[int] | None | Unset): The pixel `[x, y]` of the person that is meant, as of the form
        edit_mask (None | str | Unset): An upload's id: what may change
    """

    prompt: str
    source_prompt: None | str | Unset = UNSET
    subject: None | str | Unset = UNSET
    identity: None | str | Unset = UNSET
    attributes: list[str] | None | Unset = UNSET
    parent: None | str | Unset = UNSET
    preset: EditDocumentPresetType0 | None | Unset = UNSET
    steps: int | None | Unset = UNSET
    guidance_scale: float | None | Unset = UNSET
    negative_prompt: None | str | Unset = UNSET
    strength: float | None | Unset = UNSET
    output_format: EditDocumentOutputFormatType0 | None | Unset = UNSET
    output_quality: int | None | Unset = UNSET
    keep_alpha: bool | None | Unset = UNSET
    seed: int | None | Unset = UNSET
    mask_mode: EditDocumentMaskModeType0 | None | Unset = UNSET
    edit_mask_mode: EditDocumentEditMaskModeType0 | None | Unset = UNSET
    consent: None | str | Unset = UNSET
    identity_ttl_s: float | None | Unset = UNSET
    variants: int | None | Unset = UNSET
    max_pixels: int | None | Unset = UNSET
    deadline_s: float | None | Unset = UNSET
    webhook_url: None | str | Unset = UNSET
    dry_run: bool | Unset = False
    image: None | str | Unset = UNSET
    mask: None | str | Unset = UNSET
    at: list[int] | None | Unset = UNSET
    edit_mask: None | str | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        prompt = self.prompt

        source_prompt: None | str | Unset
        if isinstance(self.source_prompt, Unset):
            source_prompt = UNSET
        else:
            source_prompt = self.source_prompt

        subject: None | str | Unset
        if isinstance(self.subject, Unset):
            subject = UNSET
        else:
            subject = self.subject

        identity: None | str | Unset
        if isinstance(self.identity, Unset):
            identity = UNSET
        else:
            identity = self.identity

        attributes: list[str] | None | Unset
        if isinstance(self.attributes, Unset):
            attributes = UNSET
        elif isinstance(self.attributes, list):
            attributes = self.attributes

        else:
            attributes = self.attributes

        parent: None | str | Unset
        if isinstance(self.parent, Unset):
            parent = UNSET
        else:
            parent = self.parent

        preset: None | str | Unset
        if isinstance(self.preset, Unset):
            preset = UNSET
        elif isinstance(self.preset, EditDocumentPresetType0):
            preset = self.preset.value
        else:
            preset = self.preset

        steps: int | None | Unset
        if isinstance(self.steps, Unset):
            steps = UNSET
        else:
            steps = self.steps

        guidance_scale: float | None | Unset
        if isinstance(self.guidance_scale, Unset):
            guidance_scale = UNSET
        else:
            guidance_scale = self.guidance_scale

        negative_prompt: None | str | Unset
        if isinstance(self.negative_prompt, Unset):
            negative_prompt = UNSET
        else:
            negative_prompt = self.negative_prompt

        strength: float | None | Unset
        if isinstance(self.strength, Unset):
            strength = UNSET
        else:
            strength = self.strength

        output_format: None | str | Unset
        if isinstance(self.output_format, Unset):
            output_format = UNSET
        elif isinstance(self.output_format, EditDocumentOutputFormatType0):
            output_format = self.output_format.value
        else:
            output_format = self.output_format

        output_quality: int | None | Unset
        if isinstance(self.output_quality, Unset):
            output_quality = UNSET
        else:
            output_quality = self.output_quality

        keep_alpha: bool | None | Unset
        if isinstance(self.keep_alpha, Unset):
            keep_alpha = UNSET
        else:
            keep_alpha = self.keep_alpha

        seed: int | None | Unset
        if isinstance(self.seed, Unset):
            seed = UNSET
        else:
            seed = self.seed

        mask_mode: None | str | Unset
        if isinstance(self.mask_mode, Unset):
            mask_mode = UNSET
        elif isinstance(self.mask_mode, EditDocumentMaskModeType0):
            mask_mode = self.mask_mode.value
        else:
            mask_mode = self.mask_mode

        edit_mask_mode: None | str | Unset
        if isinstance(self.edit_mask_mode, Unset):
            edit_mask_mode = UNSET
        elif isinstance(self.edit_mask_mode, EditDocumentEditMaskModeType0):
            edit_mask_mode = self.edit_mask_mode.value
        else:
            edit_mask_mode = self.edit_mask_mode

        consent: None | str | Unset
        if isinstance(self.consent, Unset):
            consent = UNSET
        else:
            consent = self.consent

        identity_ttl_s: float | None | Unset
        if isinstance(self.identity_ttl_s, Unset):
            identity_ttl_s = UNSET
        else:
            identity_ttl_s = self.identity_ttl_s

        variants: int | None | Unset
        if isinstance(self.variants, Unset):
            variants = UNSET
        else:
            variants = self.variants

        max_pixels: int | None | Unset
        if isinstance(self.max_pixels, Unset):
            max_pixels = UNSET
        else:
            max_pixels = self.max_pixels

        deadline_s: float | None | Unset
        if isinstance(self.deadline_s, Unset):
            deadline_s = UNSET
        else:
            deadline_s = self.deadline_s

        webhook_url: None | str | Unset
        if isinstance(self.webhook_url, Unset):
            webhook_url = UNSET
        else:
            webhook_url = self.webhook_url

        dry_run = self.dry_run

        image: None | str | Unset
        if isinstance(self.image, Unset):
            image = UNSET
        else:
            image = self.image

        mask: None | str | Unset
        if isinstance(self.mask, Unset):
            mask = UNSET
        else:
            mask = self.mask

        at: list[int] | None | Unset
        if isinstance(self.at, Unset):
            at = UNSET
        elif isinstance(self.at, list):
            at = self.at

        else:
            at = self.at

        edit_mask: None | str | Unset
        if isinstance(self.edit_mask, Unset):
            edit_mask = UNSET
        else:
            edit_mask = self.edit_mask

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

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        prompt = d.pop("prompt")

        def _parse_source_prompt(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        source_prompt = _parse_source_prompt(d.pop("source_prompt", UNSET))

        def _parse_subject(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        subject = _parse_subject(d.pop("subject", UNSET))

        def _parse_identity(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        identity = _parse_identity(d.pop("identity", UNSET))

        def _parse_attributes(data: object) -> list[str] | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, list):
                    raise TypeError()
                attributes_type_0 = cast(list[str], data)

                return attributes_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(list[str] | None | Unset, data)

        attributes = _parse_attributes(d.pop("attributes", UNSET))

        def _parse_parent(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        parent = _parse_parent(d.pop("parent", UNSET))

        def _parse_preset(data: object) -> EditDocumentPresetType0 | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                preset_type_0 = EditDocumentPresetType0(data)

                return preset_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(EditDocumentPresetType0 | None | Unset, data)

        preset = _parse_preset(d.pop("preset", UNSET))

        def _parse_steps(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        steps = _parse_steps(d.pop("steps", UNSET))

        def _parse_guidance_scale(data: object) -> float | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(float | None | Unset, data)

        guidance_scale = _parse_guidance_scale(d.pop("guidance_scale", UNSET))

        def _parse_negative_prompt(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        negative_prompt = _parse_negative_prompt(d.pop("negative_prompt", UNSET))

        def _parse_strength(data: object) -> float | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(float | None | Unset, data)

        strength = _parse_strength(d.pop("strength", UNSET))

        def _parse_output_format(data: object) -> EditDocumentOutputFormatType0 | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                output_format_type_0 = EditDocumentOutputFormatType0(data)

                return output_format_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(EditDocumentOutputFormatType0 | None | Unset, data)

        output_format = _parse_output_format(d.pop("output_format", UNSET))

        def _parse_output_quality(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        output_quality = _parse_output_quality(d.pop("output_quality", UNSET))

        def _parse_keep_alpha(data: object) -> bool | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(bool | None | Unset, data)

        keep_alpha = _parse_keep_alpha(d.pop("keep_alpha", UNSET))

        def _parse_seed(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        seed = _parse_seed(d.pop("seed", UNSET))

        def _parse_mask_mode(data: object) -> EditDocumentMaskModeType0 | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                mask_mode_type_0 = EditDocumentMaskModeType0(data)

                return mask_mode_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(EditDocumentMaskModeType0 | None | Unset, data)

        mask_mode = _parse_mask_mode(d.pop("mask_mode", UNSET))

        def _parse_edit_mask_mode(data: object) -> EditDocumentEditMaskModeType0 | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                edit_mask_mode_type_0 = EditDocumentEditMaskModeType0(data)

                return edit_mask_mode_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(EditDocumentEditMaskModeType0 | None | Unset, data)

        edit_mask_mode = _parse_edit_mask_mode(d.pop("edit_mask_mode", UNSET))

        def _parse_consent(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        consent = _parse_consent(d.pop("consent", UNSET))

        def _parse_identity_ttl_s(data: object) -> float | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(float | None | Unset, data)

        identity_ttl_s = _parse_identity_ttl_s(d.pop("identity_ttl_s", UNSET))

        def _parse_variants(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        variants = _parse_variants(d.pop("variants", UNSET))

        def _parse_max_pixels(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        max_pixels = _parse_max_pixels(d.pop("max_pixels", UNSET))

        def _parse_deadline_s(data: object) -> float | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(float | None | Unset, data)

        deadline_s = _parse_deadline_s(d.pop("deadline_s", UNSET))

        def _parse_webhook_url(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        webhook_url = _parse_webhook_url(d.pop("webhook_url", UNSET))

        dry_run = d.pop("dry_run", UNSET)

        def _parse_image(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        image = _parse_image(d.pop("image", UNSET))

        def _parse_mask(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        mask = _parse_mask(d.pop("mask", UNSET))

        def _parse_at(data: object) -> list[int] | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, list):
                    raise TypeError()
                at_type_0 = cast(list[int], data)

                return at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(list[int] | None | Unset, data)

        at = _parse_at(d.pop("at", UNSET))

        def _parse_edit_mask(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        edit_mask = _parse_edit_mask(d.pop("edit_mask", UNSET))

        edit_document = cls(
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

        return edit_document
