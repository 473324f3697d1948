"""The object store's adapters, for a folder and for S3, and what proves that a store is the service's own and of this release.

    filesystem_artifacts    one file per object
    url_signatures          the signatures of its presigned URLs
    s3_artifacts            Amazon S3 and compatible servers
    s3_errors               what boto3's errors mean
    presence                the proof that an empty store is the service's own, and not an unmounted one
    write_probe             whether the store accepts writes
    layout                  whether the store has what this release reads

Both adapters make the presigned URLs by which apps read results and write uploads. `api.following.edit_state` asks for the former
(valid for `result_url_ttl_s`), `library.uploads` for the latter (`upload_url_ttl_s`).

This room imports the port, `stores.artifacts`.
"""
