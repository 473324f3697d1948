"""How much does [I] know of its subject, and how much only of its photo? `python -m lab.quality.worlds.generalisation`.

While [I] is learned, the denoising error inside the identity mask is measured on the learned photo, on the photo to edit, and on
the true answers of its edits. Noise levels and noise are fixed. Each error is relative to the one without [I]: −0.1 means that [I]
predicts a tenth better. If [I] knows the person, all of them fall. If it only knows the photo by heart, only the first does.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from lab.measures.bootstrap import five_digits
from lab.quality.worlds.editing import Editor, whole_canvas
from lab.quality.worlds.edits import Case, Photo, case_of
from lab.quality.worlds.settings import setting_of
from s2edit_core.concepts.concept import Concept, Delta, Full, LowRank
from s2edit_core.concepts.conditioning import prompt_gates, prompt_keys_values
from s2edit_core.method.learning.learning import Checkpoint, learn_concepts
from s2edit_core.method.learning.learning_state import LearningState
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.options import LearningOptions
from s2edit_core.request.spec import PLACEHOLDER, Progress
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Row

LEVELS, SEEDS = 8, 3
"""Noise levels, evenly spaced over the schedule, and noises of each."""
EVERY = 50
"""Learning steps between two measurements."""


def denoising_errors(editor: Editor, photo: Photo, concept: Concept | None) -> Tensor:
    """Return the mean squared error of ε in the identity mask of `photo`, by noise level, the least noisy first: `(LEVELS,)`."""
    backbone, canvas = editor.backbone, whole_canvas(editor.pipe, photo)
    latent = backbone.encode_image(canvas.source())
    size = (latent.shape[1], latent.shape[2])
    mask = canvas.mask(photo.mask)
    prompt = editor.prompt(photo.prompt, concept)
    target = prompt_keys_values(backbone, prompt, {PLACEHOLDER: concept} if concept else {})
    gates = prompt_gates(backbone, prompt, {PLACEHOLDER: mask}, size) if concept else None
    noise = torch.randn((SEEDS, LEVELS, *latent.shape), generator=torch.Generator().manual_seed(5)).to(latent)
    rows = []
    for i in range(SEEDS):
        for level in range(LEVELS):
            t = int((level + 0.5) * backbone.schedule.train_timesteps / LEVELS)
            noisy = backbone.schedule.add_noise(latent[None], noise[i, level][None], torch.tensor([t]))[0]
            rows.append(Row(noisy, t, target, gates))
    predicted = torch.stack([answer.eps for answer in editor.evaluate(tuple(rows))]).view_as(noise)
    weight = adaptive_avg_pool2d(mask[None], size)[0].to(latent)
    errors: Tensor = ((predicted - noise).square().mean(2) * weight).sum((2, 3)).mean(0) / weight.sum()
    return errors


def concept_of(state: LearningState, options: LearningOptions, subject: str) -> Concept:
    """Return the concept of an unfinished learning of one concept."""
    names = sorted((name for name in state.tensors if name.count(".") == 1), key=lambda name: int(name.partition(".")[2]))
    token, *rest = (state.tensors[name] for name in names)
    deltas: list[Delta] = (
        [LowRank(down, up) for down, up in zip(rest[::2], rest[1::2], strict=True)]
        if options.mode == "lora_kv"
        else [Full(weight) for weight in rest]
    )
    half = len(deltas) // 2
    return Concept(token, tuple(deltas[:half]), tuple(deltas[half:]), fingerprint=state.fingerprint, subject=subject)


def curve(editor: Editor, photos: tuple[Photo, ...], options: LearningOptions, shown: dict[str, Photo]) -> Iterator[dict[str, Any]]:
    """Learn [I] from `photos` and yield, every `EVERY` steps, the errors on the photos in `shown` relative to those without [I]."""
    before = {name: denoising_errors(editor, photo, None) for name, photo in shown.items()}
    lesson = replace(editor.lesson(photos[0]), others=tuple(editor.lesson(photo) for photo in photos[1:]))
    learning = learn_concepts(editor.backbone, (lesson,), options, every=EVERY)
    step = next(learning)
    while True:
        if isinstance(step, Checkpoint) and step.state is not None:
            concept = concept_of(step.state, options, photos[0].word)
            after = {name: denoising_errors(editor, photo, concept) for name, photo in shown.items()}
            yield {"step": step.step, **{name: five_digits(float((after[name] / before[name] - 1).mean())) for name in shown}}
        try:
            step = learning.send(()) if isinstance(step, Progress) else learning.send(editor.evaluate(step))
        except StopIteration:
            return


def photos_to_show(case: Case) -> dict[str, Photo]:
    """Return the learned photo, the photo to edit and its true answers, by name."""
    answers = {f"answer: {target.edit.name}": target.answer for target in case.targets}
    return {"learned": case.others[0], "edited": case.photo, **answers}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="models/world-128")
    parser.add_argument("--domain", default="person")
    parser.add_argument("--subjects", type=int, nargs="+", default=[1])
    parser.add_argument("--edits", default="left,sunglasses off,hat off")
    parser.add_argument("--settings", default="balanced,balanced+kv", help="settings, separated by commas; see `settings`")
    parser.add_argument("--photos", type=int, nargs="+", default=[1, 3], choices=(1, 2, 3), help="numbers of photos to learn from")
    parser.add_argument("--steps", type=int, default=250, help="learning steps")
    parser.add_argument("--out", type=Path, default=Path("lab/results/worlds-learning.json"))
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    pipe = S2EditPipeline(Backbone.from_pretrained(wanted.model))
    found: list[dict[str, Any]] = json.loads(wanted.out.read_text())["curves"] if wanted.out.exists() else []
    for seed in wanted.subjects:
        case = case_of(wanted.domain, seed, tuple(wanted.edits.split(",")))
        for name in wanted.settings.split(","):
            options = setting_of(name).learning
            options = replace(options, joint_steps=wanted.steps - options.token_steps)
            for count in wanted.photos:
                about = {"subject": case.person, "setting": name, "photos": count}
                for row in curve(Editor(pipe, case), case.others[:count], options, photos_to_show(case)):
                    found.append(about | row)
                    print(json.dumps(found[-1]), flush=True)
                    lines = ",\n  ".join(map(json.dumps, found))
                    text = f'{{\n "model": "{pipe.backbone.fingerprint}",\n "curves": [\n  {lines}\n ]\n}}\n'
                    wanted.out.write_text(text)


if __name__ == "__main__":
    main()
