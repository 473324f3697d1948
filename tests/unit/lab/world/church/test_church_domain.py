from __future__ import annotations

import random
import time
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from lab.world.church import DOMAIN
from lab.world.church.subject import Attributes, Identity
from lab.world.domain import Subject

PLAIN: dict[str, Any] = {
    "time": "day",
    "season": "summer",
    "weather": "clear",
    "view": "front",
    "scaffolding": False,
    "flags": False,
    "ivy": False,
}
EDITS: tuple[tuple[str, Any], ...] = (
    ("time", "sunset"),
    ("time", "night"),
    ("season", "autumn"),
    ("season", "snow"),
    ("season", "spring"),
    ("weather", "fog"),
    ("weather", "rainbow"),
    ("view", "left"),
    ("view", "right"),
    ("scaffolding", True),
    ("flags", True),
    ("ivy", True),
)
SEEDS = (0, 3, 7, 12, 21)


def plain(seed: int) -> Subject:
    return DOMAIN.change(DOMAIN.sample(seed), **PLAIN)


def pixels(subject: Subject, size: int = 128) -> NDArray[np.float32]:
    return np.asarray(DOMAIN.render(subject, size), dtype=np.float32)


def mask(subject: Subject, size: int = 128) -> NDArray[np.float32]:
    return np.asarray(DOMAIN.mask(subject, size), dtype=np.float32) / 255


def parts(subject: Subject) -> dict[str, NDArray[np.float32]]:
    found: dict[str, NDArray[np.float32]] = DOMAIN.parts(subject)  # type: ignore[attr-defined]
    return found


def test_a_seed_gives_the_same_picture_again_and_another_seed_another_one() -> None:
    assert DOMAIN.sample(5) == DOMAIN.sample(5)
    assert np.array_equal(pixels(DOMAIN.sample(5)), pixels(DOMAIN.sample(5)))
    assert DOMAIN.sample(5).identity != DOMAIN.sample(6).identity


def test_the_picture_is_rgb_of_the_size_asked_for() -> None:
    for size in (96, 128):
        image = DOMAIN.render(DOMAIN.sample(1), size)
        assert (image.mode, image.size) == ("RGB", (size, size))
        assert DOMAIN.mask(DOMAIN.sample(1), size).size == (size, size)


def test_every_value_of_every_attribute_occurs_often_in_samples() -> None:
    labels = [DOMAIN.label(DOMAIN.sample(seed).attributes) for seed in range(1500)]
    for name, classes in DOMAIN.labels.items():
        shares = np.bincount([label[name] for label in labels], minlength=len(classes)) / len(labels)
        assert shares.min() > 0.05, (name, shares)


def test_a_change_keeps_identity_setting_and_the_other_attributes() -> None:
    subject = plain(3)
    for name, value in EDITS:
        changed = DOMAIN.change(subject, **{name: value})
        assert (changed.identity, changed.setting) == (subject.identity, subject.setting)
        assert changed.attributes == replace(subject.attributes, **{name: value})


def test_a_change_to_something_unknown_is_refused() -> None:
    subject = plain(3)
    with pytest.raises(ValueError, match=r"unknown attributes: steeple; choose from .*ivy"):
        DOMAIN.change(subject, steeple=True)
    with pytest.raises(ValueError, match="time is one of day, sunset, night, got 'noon'"):
        DOMAIN.change(subject, time="noon")
    with pytest.raises(ValueError, match="ivy is True or False, got 'yes'"):
        DOMAIN.change(subject, ivy="yes")
    with pytest.raises(ValueError, match="no rainbow at night"):
        DOMAIN.change(subject, time="night", weather="rainbow")


def test_night_ends_a_rainbow_and_a_rainbow_ends_the_night() -> None:
    rainbow = DOMAIN.change(plain(3), weather="rainbow")
    assert DOMAIN.change(rainbow, time="night").attributes.weather == "clear"
    night = DOMAIN.change(plain(3), time="night")
    assert DOMAIN.change(night, weather="rainbow").attributes.time == "day"


@pytest.mark.parametrize(("name", "value"), EDITS)
def test_every_change_is_large_enough_to_be_seen(name: str, value: Any) -> None:
    for seed in SEEDS:
        subject = plain(seed)
        difference = np.abs(pixels(subject) - pixels(DOMAIN.change(subject, **{name: value}))).max(axis=2)
        assert (difference > 24).mean() > 0.015, (seed, (difference > 24).mean())


@pytest.mark.parametrize("name", ["scaffolding", "flags", "ivy"])
def test_an_addition_leaves_the_rest_of_the_picture_alone(name: str) -> None:
    subject = plain(12)
    added = DOMAIN.change(subject, **{name: True})
    elsewhere = parts(added)[name] < 1e-3
    assert elsewhere.mean() > 0.5
    difference = np.abs(pixels(subject) - pixels(added)).max(axis=2)
    assert (difference[elsewhere] > 8).mean() < 0.01


def test_the_shares_of_the_parts_add_up_to_one() -> None:
    for seed in range(4):
        total = np.sum(list(parts(DOMAIN.sample(seed)).values()), axis=0)
        assert np.allclose(total, 1, atol=1e-4)


def test_parts_appear_with_their_attributes() -> None:
    subject = plain(7)
    everything = parts(DOMAIN.change(subject, scaffolding=True, flags=True, ivy=True))
    for name in ("scaffolding", "flags", "ivy"):
        assert parts(subject)[name].max() == 0
        assert everything[name].mean() > 0.005
    for name in ("sky", "ground", "wall", "roof", "windows", "door"):
        assert parts(subject)[name].mean() > 0.002, name


def test_the_mask_holds_the_building_and_none_of_the_landscape() -> None:
    for seed in SEEDS:
        subject = plain(seed)
        found, shares = mask(subject), parts(subject)
        assert 0.06 < found.mean() < 0.6
        assert found[:, [0, -1]].max() == 0
        assert np.abs(found - (1 - sum(shares[name] for name in ("sky", "hills", "ground", "trees")))).max() < 0.01


def test_time_of_day_changes_light_and_not_the_building() -> None:
    subject = plain(3)
    for value in ("sunset", "night"):
        assert np.array_equal(mask(subject), mask(DOMAIN.change(subject, time=value)))


def test_at_night_the_windows_are_brighter_than_the_walls_and_by_day_darker() -> None:
    for seed in SEEDS:
        subject = plain(seed)
        shares = parts(subject)
        panes, walls = shares["windows"] > 0.9, shares["wall"] > 0.9
        brightness = [pixels(DOMAIN.change(subject, time=value)).mean(axis=2) for value in ("day", "night")]
        assert np.median(brightness[0][panes]) < np.median(brightness[0][walls])
        assert np.percentile(brightness[1][panes], 80) > np.percentile(brightness[1][walls], 80)


def test_another_photo_keeps_the_identity_alone() -> None:
    subject = DOMAIN.sample(9)
    others = [DOMAIN.another_photo(subject, seed) for seed in range(20)]
    assert all(other.identity == subject.identity for other in others)
    assert all(other.setting != subject.setting for other in others)
    assert len({other.attributes for other in others}) > 8
    assert DOMAIN.another_photo(subject, 4) == others[4]


def every_combination() -> list[Attributes]:
    *names, _, _, _ = DOMAIN.labels
    choices = [[(name, value) for value in DOMAIN.labels[name]] for name in names]
    switches = [[(name, value) for value in (False, True)] for name in ("scaffolding", "flags", "ivy")]
    combinations = [dict(pairs) for pairs in product(*choices, *switches)]
    return [Attributes(**each) for each in combinations if not (each["time"] == "night" and each["weather"] == "rainbow")]


def test_captions_use_the_words_of_the_domain_and_all_of_them() -> None:
    used: set[str] = set()
    for has in every_combination():
        used |= set(DOMAIN.caption(has).replace(",", "").split())
    assert used == DOMAIN.words


def test_captions_tell_all_combinations_apart() -> None:
    combinations = every_combination()
    assert len({DOMAIN.caption(has) for has in combinations}) == len(combinations)


def test_captions_read_as_people_write_them() -> None:
    assert DOMAIN.caption(Attributes()) == "a photo of a church"
    snowy = Attributes(season="snow", time="night", scaffolding=True)
    assert DOMAIN.caption(snowy) == "a photo of a church in snow at night with scaffolding"
    assert DOMAIN.caption(Attributes(view="left", time="sunset")) == "a photo of a church from the left at sunset"
    everything = Attributes(weather="fog", scaffolding=True, flags=True, ivy=True)
    assert DOMAIN.caption(everything) == "a photo of a church in fog with scaffolding, flags and ivy"


def test_captions_with_a_generator_omit_and_reorder() -> None:
    has = Attributes("sunset", "snow", "fog", "left", True, True, True)
    written = [DOMAIN.caption(has, random.Random(seed)) for seed in range(200)]
    assert len(set(written)) > 20
    assert 0.85 < np.mean(["at sunset" in sentence for sentence in written]) < 1
    assert all(set(sentence.replace(",", "").split()) <= DOMAIN.words for sentence in written)


def test_the_word_bank_has_attribute_words_alone() -> None:
    assert set(DOMAIN.word_bank) <= DOMAIN.words
    assert not {*DOMAIN.subjects, "photo", "a"} & set(DOMAIN.word_bank)


def test_labels_name_the_attributes() -> None:
    has = Attributes("night", "autumn", "fog", "right", flags=True)
    named = {name: DOMAIN.labels[name][index] for name, index in DOMAIN.label(has).items()}
    assert named == {"time": "night", "season": "autumn", "weather": "fog", "view": "right"} | {
        "scaffolding": "without",
        "flags": "with",
        "ivy": "without",
    }


def test_the_identity_vector_has_zero_mean_and_unit_variance() -> None:
    vectors = np.array([DOMAIN.identity_vector(Identity.sample(random.Random(seed))) for seed in range(1500)])
    assert vectors.shape[1] == len(DOMAIN.identity_names) == len(set(DOMAIN.identity_names))
    assert np.abs(vectors.mean(axis=0)).max() < 0.12
    assert np.abs(vectors.std(axis=0) - 1).max() < 0.12


def test_a_picture_shows_the_same_at_every_size() -> None:
    for seed in SEEDS:
        small, large = DOMAIN.render(DOMAIN.sample(seed), 128), DOMAIN.render(DOMAIN.sample(seed), 256)
        halved = np.asarray(large.resize((128, 128), Image.Resampling.BOX), dtype=np.float32)
        assert np.abs(halved - np.asarray(small, dtype=np.float32)).mean() < 5


def test_a_picture_takes_little_time() -> None:
    DOMAIN.render(DOMAIN.sample(0))
    start = time.process_time()
    for seed in range(8):
        DOMAIN.render(DOMAIN.sample(seed))
    # A quarter of a second would already be ten times what it takes on an idle core.
    assert (time.process_time() - start) / 8 < 0.25
