"""`celery -A worker.app worker`: the worker with the real engine. Importing it loads neither torch nor the model."""

from __future__ import annotations

from s2edit_jobs.settings import Settings
from worker.engines.engine import Engine
from worker.process import WorkerProcess


def load_engine(settings: Settings) -> Engine:
    """Load torch and the models; once per process, when the worker starts. Raises what keeps one of them from being loaded."""
    from s2edit_core.vision.safety import open_safety_model
    from s2edit_jobs.stores.adapters import loading, look_at_adapters
    from worker.engines.provenance import Credentials, SigningEngine
    from worker.engines.s2edit_engine import S2EditEngine
    from worker.engines.safety import SafeEngine

    look_at_adapters(settings)  # before the model takes its time
    drawing = S2EditEngine(
        settings.model,
        settings.device,
        watermark=settings.watermark,
        segmenter=settings.segmenter,
        captioner=settings.captioner,
    )
    engine: Engine = drawing
    if settings.safety:
        labels, device = settings.safety_labels.split(","), str(drawing.pipeline.backbone.device)
        with loading("safety", settings.safety):
            judge = open_safety_model(settings.safety, labels, settings.safety_threshold, device=device)
        engine = SafeEngine(engine, judge)
    return SigningEngine(engine, Credentials.from_settings(settings)) if settings.provenance else engine


app = WorkerProcess(Settings(), load_engine).app
