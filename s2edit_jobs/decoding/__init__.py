"""Decode untrusted pictures in sandboxed processes: without secrets, with limits on CPU time and memory.

The limits depend on the number of pixels that the file's header declares. The API uses these processes for files that
`s2edit_core.pictures.containers` cannot check by itself. The worker uses them for every file before its own process decodes it.
If a picture kills its decoder, only that picture's job fails, without another attempt.
"""
