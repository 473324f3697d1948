"""The entry point `celery -A worker.app worker`. Importing this module loads neither torch nor a model."""

from __future__ import annotations

from s2edit_jobs.settings import Settings, settings_of_process
from s2edit_jobs.start import without_collection
from worker.attempts.tallies import count
from worker.engines.engine import Engine
from worker.process import WorkerProcess


@without_collection()
def load_engine(settings: Settings) -> Engine:
    """Load torch and the models, once per process. Raise what the loading of a model raises."""
    from s2edit_core.unet import pass_limit
    from s2edit_core.vision.safety import open_safety_model
    from s2edit_jobs.stores.auxiliary_models import check_auxiliary_models, loading
    from worker.engines.guarded import GuardedEngine
    from worker.engines.provenance import Credentials, SigningEngine
    from worker.engines.s2edit_engine import S2EditEngine
    from worker.engines.safety import SafeEngine

    pass_limit.listeners.add(_count_reduced_pass)
    check_auxiliary_models(settings)  # report a bad setting before the slow loading of the model
    s2edit = S2EditEngine(
        settings.model,
        settings.device,
        precision=settings.precision,
        watermark=settings.watermark,
        segmenter=settings.segmenter,
        captioner=settings.captioner,
        jobs=settings.worker_jobs,
    )
    engine: Engine = s2edit
    if settings.safety:
        labels, device = settings.safety_labels.split(","), str(s2edit.pipeline.backbone.device)
        with loading("safety", settings.safety):
            safety_model = open_safety_model(settings.safety, labels, settings.safety_threshold, device=device)
        engine = SafeEngine(engine, safety_model)
    return GuardedEngine(SigningEngine(engine, Credentials.from_settings(settings)) if settings.provenance else engine)


def _count_reduced_pass() -> None:
    count("reduced_passes")


app = WorkerProcess(settings_of_process(), load_engine).app
