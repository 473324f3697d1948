"""OpenAI's SDKs and LiteLLM's proxy against the service, unchanged but for base URL, key and model name."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.sdks.callers import Call, Caller
from tests.sdks.conftest import MODEL, PROXIED, Served

pytestmark = pytest.mark.timeout(600)  # LiteLLM's proxy computes for ten seconds before it listens
PROMPT = "a photo of a woman with long red hair"
CALLERS = ("python_sdk", "node", "litellm")
REFUSED: dict[str, dict[str, Any]] = {
    "quality": {"quality": "max"},
    "size": {"size": "1024x1024"},
    "background": {"background": "transparent"},
    "input_fidelity": {"input_fidelity": "low"},
    "output_format": {"output_format": "gif"},
    "n": {"n": 9},
    "partial_images": {"partial_images": 2},
    "prompt": {"prompt": "make her hair red"},
    "mask": {"mask": "photo.png"},
    "user": {"user": "ann@example.com"},
}
"""Calls that can't be honoured, by the parameter at fault. `mask` is a picture without transparency."""
REFUSED_BY_SDKS: dict[str, dict[str, Any]] = {
    "complexity": {"complexity": "low"},
    "frame_count": {"frame_count": 3},
    "frame_duration_ms": {"frame_duration_ms": 100},
    "svg": {"svg": {"model": "x"}},
    "markup": {"markup": "hole.png"},
    "model": {"model": "gpt-image-2"},
}
"""More of them. LiteLLM's proxy knows fewer parameters, and renames models itself."""


@pytest.fixture(params=CALLERS)
def caller(request: pytest.FixtureRequest) -> Caller:
    found: Caller = request.getfixturevalue(request.param)
    return found


def call(served: Served, params: dict[str, Any] | None = None, *, own: dict[str, Any] | None = None, key: str = "") -> Call:
    """Return a valid call, changed by `params`."""
    values = {"image": served.photo, "prompt": PROMPT, "model": MODEL, **(params or {})}
    values = {name: str(served.folder / value) if name in ("image", "mask", "markup") else value for name, value in values.items()}
    return Call(values, own or {}, {"Idempotency-Key": key} if key else {})


def through(caller: Caller, one: Call) -> Call:
    """Return the call with the name that LiteLLM's proxy has for the model."""
    is_proxy = getattr(caller, "api_key", "") == "sk-proxy"
    return Call({**one.params, "model": PROXIED[0]}, one.own, one.headers, one.method) if is_proxy else one


def picture(outcome: dict[str, Any], index: int = 0) -> Image.Image:
    assert "data" in outcome, outcome
    return Image.open(io.BytesIO(base64.b64decode(outcome["data"][index]["b64_json"])))


def pixels(picture: Image.Image | Path) -> Any:
    return np.asarray((Image.open(picture) if isinstance(picture, Path) else picture).convert("RGB"))


def test_an_edit_changes_nothing_outside_the_mask(served: Served, caller: Caller) -> None:
    plain = {"mask": "hole.png", "n": 2, "size": "auto", "user": "ann", "quality": "low"}
    calls = [call(served, plain), call(served, {**plain, "n": 1, "output_format": "webp"})]
    several, webp = caller.make([through(caller, one) for one in calls])
    before = pixels(served.photo)
    outside = np.asarray(Image.open(served.mask).getchannel("A")) > 0
    assert len(several["data"]) == 2
    assert picture(webp).format == "WEBP"
    for after in (pixels(picture(several)), pixels(picture(several, 1)), pixels(picture(webp))):
        assert np.array_equal(before[outside], after[outside])
        assert not np.array_equal(before[~outside], after[~outside])


def test_a_link_leads_to_the_same_picture(served: Served, caller: Caller) -> None:
    import httpx

    link, whole = caller.make([through(caller, call(served, {"response_format": kind})) for kind in ("url", "b64_json")])
    assert "url" in link["data"][0], link
    assert httpx.get(link["data"][0]["url"]).content == base64.b64decode(whole["data"][0]["b64_json"])


def test_what_cannot_be_honoured_is_a_bad_request(served: Served, caller: Caller) -> None:
    outcomes = caller.make([through(caller, call(served, params)) for params in REFUSED.values()])
    for name, outcome in zip(REFUSED, outcomes, strict=True):
        assert "error" in outcome, (name, outcome)
        assert (outcome["error"]["class"], outcome["error"]["status"]) == ("BadRequestError", 400), outcome
        said = outcome["error"]
        assert said["param"] == name or name in said["message"], said  # LiteLLM passes on only the message


@pytest.mark.parametrize("sdk", CALLERS[:2])
def test_nor_is_anything_else_that_the_sdks_have(served: Served, request: pytest.FixtureRequest, sdk: str) -> None:
    caller: Caller = request.getfixturevalue(sdk)
    for name, outcome in zip(
        REFUSED_BY_SDKS, caller.make([call(served, params) for params in REFUSED_BY_SDKS.values()]), strict=True
    ):
        error = outcome["error"]
        assert (error["class"], error["status"], error["param"]) == ("BadRequestError", 400, name), outcome


@pytest.mark.parametrize("sdk", CALLERS[:2])
def test_a_stream_has_partial_images(served: Served, request: pytest.FixtureRequest, sdk: str) -> None:
    caller: Caller = request.getfixturevalue(sdk)
    slow = {"prompt": f"{PROMPT} [test:slow 2]", "stream": True, "partial_images": 2}
    failing = {"prompt": f"{PROMPT} [test:failed mask_not_found]", "stream": True}
    good, bad = caller.make([call(served, slow), call(served, failing)])
    *partials, last = (event["type"] for event in good["events"])
    assert last == "image_edit.completed"
    assert 1 <= len(partials) <= 2, "a busy machine draws fewer previews, so that they take little of its time"
    assert set(partials) == {"image_edit.partial_image"}
    for event in good["events"]:
        assert Image.open(io.BytesIO(base64.b64decode(event["b64_json"]))).format == event["output_format"].upper()
    assert bad["error"]["code"] == "mask_not_found"


@pytest.mark.parametrize("sdk", CALLERS[:2])
def test_own_fields_and_keys_of_idempotency(served: Served, request: pytest.FixtureRequest, sdk: str) -> None:
    caller: Caller = request.getfixturevalue(sdk)
    own = {"source_prompt": "a photo of a woman with long brown hair", "seed": 3, "preset": "instant"}
    first, again = caller.make([call(served, own=own, key=f"{sdk}-1")] * 2)
    assert first["id"] == again["id"]
    (other,) = caller.make([call(served, {"prompt": "a photo of a smiling woman"}, own={"identity": first["identity"]})])
    assert other["identity"] == first["identity"]
    assert other["id"] != first["id"]


def test_models_are_listed(served: Served, caller: Caller) -> None:
    (outcome,) = caller.make([Call({}, {}, {}, "models")])
    is_proxy = through(caller, call(served)).params["model"] == PROXIED[0]
    assert outcome["models"] == (list(PROXIED) if is_proxy else [MODEL])


def test_a_wrong_key_is_an_authentication_error(served: Served, python_sdk: Caller) -> None:
    from dataclasses import replace

    (outcome,) = replace(python_sdk, api_key="sk-nothing").make([call(served)])  # type: ignore[type-var]
    assert (outcome["error"]["class"], outcome["error"]["code"]) == ("AuthenticationError", "credentials_invalid")
