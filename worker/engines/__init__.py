"""The engine port and its implementations: S²Edit, an engine without a model (tests and test mode), and three wrappers.

    engine                     the port: what a worker needs of the model
    s2edit_engine              S²Edit
    edit_run, previews         one edit of it in progress, the checkpoints of its learning, and its previews
    loaded_model               the model in memory: device, limits, facts for the API
    shared_passes              how sessions share the UNet and the CPU's threads
    cores                      how many cores there are
    modeless_engine            the engine without a model
    painters                   its pictures
    guarded                    wrapper: failures of the device become one exception type
    safety                     wrapper: checks photos and results
    provenance                 wrapper: signs content credentials
    development_certificate    a certificate to sign with, for development

Each attempt uses a session of the engine, a cheap object over the shared model. Its rows go through the row scheduler
(`shared_passes.py`), everything else runs in the attempt's thread. Models beside the UNet that are not thread-safe take turns.

Signing wraps the safety check, which wraps S²Edit, so no unsafe result is signed. `guarded` wraps all others. S²Edit itself adds
the watermark, before it measures the result for the report.
"""
