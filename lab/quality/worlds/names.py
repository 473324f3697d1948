"""What a name does in the model: `python -m lab.quality.worlds.names`.

Some people of the training set have a name in their captions (`lab.world.names`), and it stands where [I] stands. Each of them is
drawn from the caption of a photo that training never saw, from the same noise without a name, with the own name and with somebody
else's. The identity error is the distance of the regressor's reading from that of the true picture, encoded and decoded, as in
`measures`. What a name removes of it is what that one token holds after training; it is no upper bound.

The cosines compare text features of "a photo of a <word>": of two names, and of names and subject words with the attribute word
nearest to them, by absolute value.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline
from torch.nn.functional import normalize

from lab.judges.adherence import drawn
from lab.measures.bootstrap import differences, five_digits, intervals
from lab.measures.results import dumped, machine
from lab.quality.worlds.editing import coded
from lab.quality.worlds.measures import Judges
from lab.training.train import MODEL
from lab.world.domain import UNSEEN, Domain, Subject
from lab.world.domains import DOMAINS
from lab.world.names import Naming, name_of, with_name
from s2edit_core.delivery.canvas import to_tensor
from s2edit_core.method.learning.learner import attribute_state
from s2edit_core.unet.backbone import Backbone

NAMING = Naming(named=3000, photos=16)
"""The named people that the shipped model was trained on, as its `training.json` says."""
FIRST_PHOTO = UNSEEN + 900_000
"""Seed of the first new photo."""
WAYS = ("without a name", "own name", "name of somebody else")
FIGURES = ("identity_error", "as_captioned")


def captions(domain: Domain, photos: Sequence[Subject]) -> dict[str, list[str]]:
    """Return the captions of the photos in each way. Photo i shows named person i; somebody else is person i + 1."""
    plain = [domain.caption(photo.attributes) for photo in photos]
    numbers = {"own name": range(len(photos)), "name of somebody else": [(i + 1) % len(photos) for i in range(len(photos))]}
    named = {
        way: [with_name(text, name_of(number), domain.subjects) for text, number in zip(plain, of, strict=True)]
        for way, of in numbers.items()
    }
    return {"without a name": plain, **named}


@torch.no_grad()
def identities(backbone: Backbone, pipeline: StableDiffusionPipeline, judges: Judges, people: int, **how: Any) -> dict[str, Any]:
    """Return, by way, records and means with intervals; and under "minus plain" the paired differences to the way without a name.

    `as_captioned` is the share of the attributes that the judge classifies as the caption says.
    """
    domain = DOMAINS["person"]
    photos = [domain.another_photo(NAMING.shown(domain, i * NAMING.photos)[0], FIRST_PHOTO + i) for i in range(people)]
    truth = torch.stack([to_tensor(coded(backbone, domain.render(photo, backbone.frame_size))) for photo in photos])
    wanted = judges.identities(truth, domain.name)
    records: dict[str, list[dict[str, Any]]] = {}
    for way, prompts in captions(domain, photos).items():
        pictures = drawn(pipeline, prompts, **how)
        errors = judges.identities.error(pictures, domain.name, wanted)
        seen = judges.attributes.classes(pictures, domain.name)
        records[way] = []
        for i, photo in enumerate(photos):
            labels = {name: label for name, label in domain.label(photo.attributes).items() if label >= 0}
            right = sum(int(seen[name][i]) == label for name, label in labels.items()) / len(labels)
            values = {"identity_error": float(errors[i]), "as_captioned": right}
            records[way].append({"person": f"person-{i}", "edit": "", **{k: five_digits(v) for k, v in values.items()}})
        print(way, intervals(records[way], FIGURES), flush=True)
    plain = records[WAYS[0]]
    minus = {way: differences(records[way], plain, FIGURES) for way in WAYS[1:]}
    return {way: {"summary": intervals(records[way], FIGURES), "records": records[way]} for way in WAYS} | {"minus plain": minus}


def cosines(backbone: Backbone, names: int) -> dict[str, Any]:
    """Return the mean cosine of two names, the mean largest one of a name to an attribute word, and that of each subject word."""
    words = normalize(torch.stack([attribute_state(backbone, word) for word in backbone.card.word_bank("woman")]), dim=-1)
    named = normalize(torch.stack([attribute_state(backbone, name_of(i)) for i in range(names)]), dim=-1)
    subjects = {word: normalize(attribute_state(backbone, word), dim=-1) for word in ("woman", "man")}
    mutual = (named @ named.T)[~torch.eye(names, dtype=torch.bool)]
    return {
        "names": names,
        "two_names": five_digits(float(mutual.mean())),
        "name_to_nearest_attribute": five_digits(float((named @ words.T).abs().amax(1).mean())),
        "subject_to_nearest_attribute": {w: five_digits(float((words @ at).abs().max())) for w, at in subjects.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(MODEL))
    parser.add_argument("--judges", type=Path, default=Path("lab/judges"))
    parser.add_argument("--people", type=int, default=48)
    parser.add_argument("--guidance", type=float, default=3.5)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--out", type=Path, default=Path("lab/results/names.json"))
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    started = time.perf_counter()
    backbone = Backbone.from_pretrained(wanted.model)
    pipeline = StableDiffusionPipeline.from_pretrained(wanted.model, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    how = {"guidance": wanted.guidance, "steps": wanted.steps}
    figures: dict[str, Any] = {"model": backbone.fingerprint, "people": wanted.people, **how, "machine": machine()}
    figures["cosines"] = cosines(backbone, 100)
    print(figures["cosines"], flush=True)
    figures["identities"] = identities(backbone, pipeline, Judges.load(wanted.judges), wanted.people, **how)
    figures["seconds"] = round(time.perf_counter() - started, 1)
    wanted.out.write_text(dumped(figures), encoding="utf-8")


if __name__ == "__main__":
    main()
