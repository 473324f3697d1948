"""The trials of `lab.storm.promises`, small: real processes, an API that dies at its crash points, and a crowd."""

from __future__ import annotations

from lab.storm.promises import one_key, one_photo


def test_many_posts_with_one_key_while_the_api_dies_are_one_edit() -> None:
    made = one_key(posts=60)
    assert (made["edits"], made["ids_told"]) == (1, 1)
    assert {"api.put.note.after", "api.put.image.after", "api.put.spec.after"} <= set(made["points"]), "it died where it matters"
    assert made["kills"] >= len(made["points"])


def test_a_crowd_of_first_edits_of_one_photo_learns_once() -> None:
    made = one_photo(edits=16, workers=2)
    assert (made["learning_runs"], made["succeeded"]) == (1, 16)
