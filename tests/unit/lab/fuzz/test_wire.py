"""What the fuzzer remembers of the answers, for its later requests."""

from __future__ import annotations

import random

from lab.fuzz.wire import KEPT, CheckedApp, Observed
from lab.fuzz.world import USER

ID, OTHER = "u_" + "0" * 32, "u_" + "1" * 32


def shown(*ids: str) -> bytes:
    return b"".join(b'{"id": "%s"}' % each.encode() for each in ids)


def test_an_erased_id_is_forgotten_for_good() -> None:
    observed = Observed()
    observed.add(shown(ID, OTHER))
    observed.erase(ID)
    observed.add(shown(ID))  # as in the receipt of its erasure
    assert observed.ids["u"] == [OTHER]


def test_with_a_user_all_that_the_user_has_is_forgotten() -> None:
    app = CheckedApp(None, None, {"paths": {}}, random.Random(1))  # type: ignore[arg-type]
    for caller in ("a key", "a token"):
        app.observed[caller].add(shown(ID))
    app._forget("/users/somebody")
    assert app.observed["a key"].ids["u"] == [ID]
    app._forget(f"/users/{USER}")
    assert [observed.ids["u"] for observed in app.observed.values()] == [[], []]


def test_the_newest_ids_stay() -> None:
    observed = Observed()
    ids = [f"e_{number:032x}" for number in range(KEPT + 3)]
    observed.add(shown(*ids))
    assert observed.ids["e"] == ids[3:]
