"""The Python client of S²Edit: `edit_and_wait`, `follow_edit`, and every operation of the API in `s2edit_client.rest`."""

from .events import follow_edit, follow_edit_async
from .rest.client import AuthenticatedClient, Client
from .waiting import Done, EditFailed, edit_and_wait, edit_and_wait_async

__all__ = [
    "AuthenticatedClient",
    "Client",
    "Done",
    "EditFailed",
    "edit_and_wait",
    "edit_and_wait_async",
    "follow_edit",
    "follow_edit_async",
]
