"""S²Edit from Python: `edit_and_wait` for what most apps do, `follow_edit` for how it goes, `s2edit_client.rest` for the rest."""

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
