"""`fetch-segmenter`: download the optional segmenter."""

from __future__ import annotations

import argparse

from s2edit_core.commands.progress import say


def fetch_segmenter(args: argparse.Namespace) -> None:  # noqa: ARG001 - the command has no options
    """Download MediaPipe's selfie segmentation, which finds people in photographs, by npm."""
    from s2edit_core.vision.litert import fetch_mediapipe

    say(str(fetch_mediapipe()))
