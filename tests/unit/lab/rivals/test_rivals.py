"""The bench finds each fault that is planted in a server, and nothing in a correct one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from lab.rivals import crowd, marks, probes
from lab.rivals.client import NotLocal, Server
from lab.rivals.marks import Portrait
from lab.rivals.probes import FAILED, HONOURED, IGNORED, REFUSED, UNSHAPED
from lab.rivals.table import faults_of, render
from tests.unit.lab.rivals.server import Editor, serving

CROWD: dict[str, tuple[str, ...]] = {
    "loses": ("lost",),
    "answers nothing": ("lost",),
    "swaps": ("swapped",),
    "repeats": ("swapped", "doubled"),
    "adds pictures": ("doubled",),
    "drops the mask": ("unmarked", "changed_outside"),
    "shifts what is kept": ("changed_outside",),
    "edits nothing": ("untouched",),
    "resizes": ("resized",),
}
PROBES: dict[str, tuple[tuple[str, ...], str]] = {
    "ignores n": (("n=2",), IGNORED),
    "ignores the size": (("size, another", "size=banana"), IGNORED),
    "ignores the format": (("output_format=jpeg", "output_format=webp", "output_compression"), IGNORED),
    "ignores the compression": (("output_compression",), IGNORED),
    "ignores the response format": (("response_format=url",), IGNORED),
    "ignores stream": (("stream",), IGNORED),
    "ignores the seed": (("seed",), IGNORED),
    "drops the mask": (("mask, a smaller one",), IGNORED),
    "refuses in its own shape": (("n=0", "no prompt"), UNSHAPED),
    "checks nothing": (
        ("an unknown parameter", "quality=banana", "an empty prompt", "no image", "a mask of another shape", "size, another"),
        IGNORED,
    ),
}


@pytest.fixture(scope="module")
def photo() -> Portrait:
    return marks.portrait()


def of_crowd(photo: Portrait, fault: str = "") -> dict[str, Any]:
    with serving(Editor(fault)) as url, Server(url, timeout_s=10) as server:
        return crowd.run(server, photo, users=4, edits=2, at_once=4)


def of_probes(photo: Portrait, fault: str = "") -> dict[str, str]:
    with serving(Editor(fault)) as url, Server(url, timeout_s=10) as server:
        return dict(probes.run(server, photo, pause_s=0)["probes"])


def test_a_correct_server_has_no_fault(photo: Portrait) -> None:
    found = of_crowd(photo)
    assert faults_of(found) == {}
    assert (found["requests"], found["right"], found["outside_max_level"]) == (8, 8, 0)
    assert found["p99_s"] >= found["p50_s"] > 0
    each = of_probes(photo)
    assert {HONOURED, REFUSED, probes.ACCEPTED} == set(each.values())
    assert render({"servers": {"ours": {"crowd": found, "probes": each, "blocked": 0}}}).count("| none |") == 1


@pytest.mark.parametrize("fault", CROWD)
def test_a_fault_towards_many_users_is_found(photo: Portrait, fault: str) -> None:
    found = faults_of(of_crowd(photo, fault))
    assert set(found) & set(CROWD[fault]), found
    assert set(found) <= {*CROWD[fault], *({"mixed_up", "swapped", "doubled"} if fault in ("swaps", "repeats") else set())}


@pytest.mark.parametrize("fault", PROBES)
def test_a_parameter_that_is_ignored_or_refused_otherwise_is_found(photo: Portrait, fault: str) -> None:
    names, verdict = PROBES[fault]
    each = of_probes(photo, fault)
    assert {name: each[name] for name in names} == dict.fromkeys(names, verdict)
    if fault not in ("checks nothing", "refuses in its own shape", "drops the mask"):
        others = {each[name] for name in each.keys() - set(names)}
        assert not others & {IGNORED, UNSHAPED, FAILED}, each


def test_a_server_that_fails_is_no_server_that_refuses(photo: Portrait) -> None:
    with serving(Editor()) as url:
        gone = url
    with Server(gone, timeout_s=1) as server:
        found = crowd.run(server, photo, users=1, edits=2, at_once=1)
        assert found["lost"] == 2
        assert found["why_lost"] == {"ConnectError": 2}
        assert render({"servers": {"gone": {"crowd": found, "probes": {"n=2": FAILED}, "blocked": 0}}}).count("–") == 1


def test_a_server_that_rests_after_an_error_is_asked_again_and_not_taken_for_one_that_refuses(photo: Portrait) -> None:
    with serving(Editor("rests after an error")) as url, Server(url, timeout_s=10) as server:
        found = probes.run(server, photo, pause_s=0)
    assert found["blocked"] > 10
    assert found["probes"]["seed"] == HONOURED
    assert not {IGNORED, FAILED} & set(found["probes"].values())


@pytest.mark.parametrize(
    "url", ["http://example.com", "https://127.0.0.1.example.com", "http://10.0.0.1:8000", "file:///etc/passwd"]
)
def test_requests_go_to_this_machine_only(url: str) -> None:
    with pytest.raises(NotLocal):
        Server(url)


def test_the_number_of_requests_is_bounded(photo: Portrait) -> None:
    with Server("http://127.0.0.1:9") as server, pytest.raises(ValueError, match="at most"):
        crowd.run(server, photo, users=65, edits=1, at_once=1)


def test_a_mark_survives_scaling_and_jpeg_but_is_nothing_else(photo: Portrait) -> None:
    for number in (0, 1, 2047, 4095, 0b101010101010):
        marked = photo.marked(number)
        half = np.asarray(Image.fromarray(marked).resize((256, 256)))
        assert marks.read(marked, photo.size) == marks.read(half, photo.size) == number
    for other in (photo.pixels, np.zeros_like(photo.pixels), np.full_like(photo.pixels, 255)):
        assert marks.read(other, photo.size) is None
