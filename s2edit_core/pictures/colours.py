"""Colours of pictures: profiles, alpha and 16-bit levels. Loads no torch."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms

from s2edit_core.errors import ImageInvalid


def takes_srgb(profile: bytes) -> bool:
    """Return whether sRGB colours can be converted to `profile`.

    Profiles of cameras and scanners may support one direction only.
    """
    try:
        from_srgb(profile)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return False
    return True


def from_srgb(profile: bytes) -> ImageCms.ImageCmsTransform:
    """Return the transform from sRGB to an RGB `profile`. Raises `ImageCms.PyCMSError` if there is none."""
    own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return ImageCms.buildTransform(ImageCms.createProfile("sRGB"), own, "RGB", "RGB")


def to_srgb(profile: bytes) -> ImageCms.ImageCmsTransform:
    """Return the transform from an RGB `profile` to sRGB, as `decode_photo` applies it."""
    own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return ImageCms.buildTransform(own, ImageCms.createProfile("sRGB"), "RGB", "RGB")


def split_alpha(picture: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return the colours as `L`, `RGB` or `CMYK`, the modes that colour profiles are for, and the alpha if there is one."""
    if picture.mode == "1":
        picture = picture.convert("L")
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        grey = picture.mode in ("L", "LA")
        layered = picture.convert("LA" if grey else "RGBA")
        return layered.convert("L" if grey else "RGB"), layered.getchannel("A")
    return (picture if picture.mode in ("L", "RGB", "CMYK") else picture.convert("RGB")), None


def in_8_bits(picture: Image.Image) -> Image.Image:
    """Scale 16-bit grey to 8 bits, where Pillow's own conversion would clip. A transparent level, if any, becomes opaque."""
    if not picture.mode.startswith("I"):
        return picture
    levels = np.asarray(picture).astype(np.int32)
    levels += 128
    levels //= 257
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


def convert_to_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """Convert `picture` (`L`, `RGB` or `CMYK`) to `RGB`.

    With an unusable profile, a CMYK picture is refused, and any other returned unchanged.
    """
    try:
        converted = ImageCms.profileToProfile(
            picture, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        if picture.mode == "CMYK":
            raise ImageInvalid(
                "the image's colour profile is unusable: send it as RGB", field="image", reason="image_profile"
            ) from None
        return picture  # without a usable profile, RGB pixels are best taken as sRGB
    return converted if converted is not None else picture
