"""Attach previews to the sampling steps of `S2EditEngine`. `s2edit_core.delivery.preview` draws them."""

from __future__ import annotations

from collections.abc import Callable

from s2edit_core.delivery.canvas import Canvas
from s2edit_core.delivery.latent_colours import model_moments
from s2edit_core.delivery.preview import PreviewPainter
from s2edit_core.method.editing import SamplingProgress
from s2edit_core.method.inversion import Inversion
from s2edit_core.request.spec import Progress
from s2edit_core.unet.backbone import Backbone
from worker.engines.engine import PreviewedProgress


def previewed(progress: Progress, painter: Callable[[], PreviewPainter]) -> Progress:
    """Return `progress` with a preview of its latent, if it is one of sampling. `painter` is called when the preview is drawn."""
    if not isinstance(progress, SamplingProgress):
        return progress
    return PreviewedProgress(progress.phase, progress.step, progress.total, draw=lambda: painter().draw(progress.estimate()))


def preview_painter(backbone: Backbone, canvas: Canvas, inversion: Inversion) -> PreviewPainter:
    """Return what draws previews of an edit of `canvas`. The first call for a model encodes some small pictures."""
    of_model = backbone.once("latent colours", lambda: model_moments(backbone.encode_image, backbone.latent_scale))
    return PreviewPainter(canvas, of_model, inversion.path[0])
