"""S²Edit from Python: `edit_and_wait` for the one thing that most apps do, `s2edit_client.rest` for all else."""

from .rest.client import AuthenticatedClient, Client
from .waiting import Done, EditFailed, edit_and_wait, edit_and_wait_async

__all__ = ["AuthenticatedClient", "Client", "Done", "EditFailed", "edit_and_wait", "edit_and_wait_async"]
