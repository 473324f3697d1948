"""The progress of edits on the console."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from cli.client import EditClient, EditFailed
from cli.display import follow, progress_bars

URL = "http://service.test"
FAILED = {"state": "failed", "error": {"message": "no person was found"}}


def client_of(*views: dict[str, Any]) -> EditClient:
    """Return a client of a service that answers these views of an edit, one after another."""
    answers = iter(views)
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=next(answers)))
    return EditClient(URL, http=httpx.Client(transport=transport), sleep=lambda _: None)


def test_each_phase_is_one_line_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    learning = {"state": "running", "phase": "learning", "progress": {"step": 3, "total": 100}}
    client = client_of({"state": "queued"}, learning, learning, {"state": "succeeded"})
    with progress_bars() as bars:
        assert follow(client, f"{URL}/edits/e_1", "edit 7", bars)["state"] == "succeeded"
    assert capsys.readouterr().out.splitlines() == ["edit 7: learning", "edit 7: succeeded"]


@pytest.mark.parametrize("last", [{"state": "succeeded"}, FAILED], ids=["succeeded", "failed"])
def test_a_bar_disappears_when_its_edit_ends_and_others_stay(last: dict[str, Any]) -> None:
    with progress_bars() as bars:
        other = bars.add_task("edit 1: learning")
        try:
            follow(client_of({"state": "running"}, last), f"{URL}/edits/e_2", "edit 2", bars)
        except EditFailed:
            assert last is FAILED
        assert bars.task_ids == [other]
