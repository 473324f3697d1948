"""Small runs of `lab.storm.promises`, with real processes and an API that crashes at its crash points."""

from __future__ import annotations

from lab.storm.promises import one_key, one_photo


def test_many_posts_with_one_key_create_one_edit_although_the_api_crashes() -> None:
    figures = one_key(posts=60)
    assert (figures["edits"], figures["ids_returned"]) == (1, 1)
    assert {"api.put.note.after", "api.put.image.after", "api.put.spec.after"} <= set(figures["points"]), (
        "the API must crash between the writes"
    )
    assert figures["kills"] >= len(figures["points"])


def test_many_simultaneous_first_edits_of_one_photo_learn_once() -> None:
    figures = one_photo(edits=16, workers=2)
    assert (figures["learning_runs"], figures["succeeded"]) == (1, 16)
