"""How an instruction is said as a description, and how a wish to keep the rest is dropped."""

from __future__ import annotations

import pytest

from s2edit_core.errors import PromptInvalid
from s2edit_core.request.prompts import resolve_prompts
from s2edit_core.request.spec import EditRequest
from s2edit_core.request.wording.instructions import instruction_in

SUBJECTS = ("woman", "man", "person")


def refusal(prompt: str) -> str:
    with pytest.raises(PromptInvalid) as refused:
        resolve_prompts(EditRequest(prompt=prompt), SUBJECTS)
    return str(refused.value)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("make her hair red", "as in “a photo of a woman with red hair”"),
        ("make the hair a bit longer", "as in “a photo of a woman with long hair”"),
        ("change his hair color from brown to black", "as in “a photo of a man with black hair”"),
        ("dye hair red", "as in “a photo of a woman with red hair”"),
        ("change her dress to blue", "as in “a photo of a woman with a blue dress”"),
        ("add glasses", "as in “a photo of a woman with glasses”"),
        ("add hat", "as in “a photo of a woman with a hat”"),
        ("can you add a hat to her head?", "as in “a photo of a woman with a hat”"),
        ("give him a beard", "as in “a photo of a man with a beard”"),
        ("please make her smile", "as in “a photo of a smiling woman”"),
        ("I want him to look older", "as in “a photo of an old man”"),
        ("turn her into a witch", "as in “a photo of a woman as a witch”"),
        ("let her wear sunglasses", "as in “a photo of a woman wearing sunglasses”"),
        ("put the woman in a red dress", "as in “a photo of a woman in a red dress”"),
        ("replace the hat with a cap", "as in “a photo of a woman with a cap”"),
        ("show me a man with a beard", "as in “a photo of a man with a beard”"),
        ("generate a picture of a woman with a hat", "as in “a picture of a woman with a hat”"),
        ("her hair should be red", "as in “a photo of a woman with red hair”"),
        ("give woman a hat", "as in “a photo of a woman with a hat”"),
        ("whiten teeth", "as in “a photo of a woman with white teeth”"),
        ("lighten his beard", "as in “a photo of a man with a light beard”"),
        ("darken hair of the man", "as in “a photo of a man with dark hair”"),
        ("make the woman's hair blue", "as in “a photo of a woman with blue hair”"),
        ("make a man’s beard longer", "as in “a photo of a man with a long beard”"),
        ("turn the hair of the woman blue", "as in “a photo of a woman with blue hair”"),
        ("make the women smile", "as in “a photo of a smiling woman”"),
        ("make her hair blue, keep everything else", "as in “a photo of a woman with blue hair”"),
        ("give him a hat without changing his face", "as in “a photo of a man with a hat”"),
        ("MAKE HER SMILE", "as in “a photo of a smiling woman”"),
        ("make a woman smile", "as in “a photo of a smiling woman”"),
        ("add a glasses", "as in “a photo of a woman with glasses”"),
        ("add a sunglasses", "as in “a photo of a woman with sunglasses”"),
        ("give her an earrings", "as in “a photo of a woman with earrings”"),
        ("give her a pair of glasses", "as in “a photo of a woman with a pair of glasses”"),
        ("add glasses to a photo of a woman", "as in “a photo of a woman with glasses”"),
        ("add glasses to a picture", "as in “a photo of a woman with glasses”"),
        ("add a hat to the photo of the woman and a scarf", "as in “a photo of a woman with a hat and a scarf”"),
        ("add glasses to a woman", "as in “a photo of a woman with glasses”"),
        ("add a hat in the style of Picasso", "as in “a photo of a woman with a hat in the style of Picasso”"),
        ("add flowers in her hair", "as in “a photo of a woman with flowers in her hair”"),
        ("make her hair red, please!", "as in “a photo of a woman with red hair”"),
        ("make her hair red, thanks", "as in “a photo of a woman with red hair”"),
        ("could you please give her a hat?", "as in “a photo of a woman with a hat”"),
        ("can you make the woman smile", "as in “a photo of a smiling woman”"),
        ("give the woman long red hair", "as in “a photo of a woman with long red hair”"),
        ("she should smile", "as in “a photo of a smiling woman”"),
        ("a woman should smile", "as in “a photo of a smiling woman”"),
        ("she needs glasses", "as in “a photo of a woman with glasses”"),
        ("put a hat on", "as in “a photo of a woman with a hat”"),
        ("turn her into a blonde", "as in “a photo of a woman with blond hair”"),
        ("turn him into a redhead", "as in “a photo of a man with red hair”"),
        ("make her blonde", "as in “a photo of a woman with blond hair”"),
        ("make the man look left", "as in “a photo of a man looking left”"),
        ("make it snow", "as in “a photo of a woman in snow”"),
        ("it should rain", "as in “a photo of a woman in the rain”"),
        ("set it at night", "as in “a photo of a woman at night”"),
        ("change the season to winter", "as in “a photo of a woman in winter”"),
        ("show her with glasses", "as in “a photo of a woman with glasses”"),
        ("show her in a red dress", "as in “a photo of a woman in a red dress”"),
        ("show him smiling", "as in “a photo of a smiling man”"),
        ("show her as a queen", "as in “a photo of a woman as a queen”"),
        ("make her a queen with a crown", "as in “a photo of a woman as a queen with a crown”"),
        (
            "remove the hat",
            "without the hat: as in “a photo of a woman”, with the source_prompt “a photo of a woman with a hat”",
        ),
        *(
            (told, "without the hat: as in “a photo of a woman”, with the source_prompt “a photo of a woman with a hat”")
            for told in ("take off her hat", "take the hat off her head", "lose the hat", "could you take her hat off please?")
        ),
        (
            "take his glasses off",
            "without the glasses: as in “a photo of a man”, with the source_prompt “a photo of a man with glasses”",
        ),
        (
            "remove the hat and the glasses, and make her smile",
            "without the hat and the glasses: as in “a photo of a smiling woman”, "
            "with the source_prompt “a photo of a woman with a hat and glasses”",
        ),
    ],
)
def test_what_it_asks_for_is_said_as_a_description(told: str, said: str) -> None:
    with pytest.raises(PromptInvalid) as refused:
        resolve_prompts(EditRequest(prompt=told), SUBJECTS)
    assert str(refused.value) == f"the prompt is an instruction: say what the picture should show, {said}"


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("make her smile and give her blue eyes", "a photo of a smiling woman with blue eyes"),
        ("make it a painting", "a painting of a woman"),
        ("turn the photo into an oil painting and add a hat", "an oil painting of a woman with a hat"),
        ("add glasses and a smile", "a photo of a woman with glasses and a smile"),
        ("make the woman's hair red and add glasses", "a photo of a woman with red hair and glasses"),
        ("make her hair red, her eyes blue and add a hat", "a photo of a woman with red hair, blue eyes and a hat"),
        ("make her hair red and smile", "a photo of a woman with red hair and a smile"),
        ("make her hair long, curly and red", "a photo of a woman with long, curly and red hair"),
        ("make her smile and please add a hat", "a photo of a smiling woman with a hat"),
        ("make her older, happier & give her glasses", "a photo of an old, happy woman with glasses"),
        ("I want her to smile and wear a hat", "a photo of a smiling woman with a hat"),
        ("her hair should be red and her eyes should be blue", "a photo of a woman with red hair and blue eyes"),
        ("turn her into a witch and make her hair green", "a photo of a woman as a witch with green hair"),
        ("give her a big smile and a hat on her head", "a photo of a woman with a big smile and a hat"),
        ("put a hat and glasses on her", "a photo of a woman with a hat and glasses"),
        ("add lipstick, earrings and a necklace", "a photo of a woman with lipstick, earrings and a necklace"),
        ("add a red and white scarf", "a photo of a woman with a red and white scarf"),
        ("put her in a red and black dress", "a photo of a woman in a red and black dress"),
        ("show a woman with red hair and a hat", "a photo of a woman with red hair and a hat"),
        ("make her smile, add a hat and keep everything else", "a photo of a smiling woman with a hat"),
        ("show a woman with red hair and make her smile", "a photo of a smiling woman with red hair"),
        ("show her with glasses and a hat", "a photo of a woman with glasses and a hat"),
        ("make it snow and add a hat", "a photo of a woman in snow with a hat"),
        ("give her a hat and make it night", "a photo of a woman at night with a hat"),
        ("Make her hair red. Add glasses. Thanks!", "a photo of a woman with red hair and glasses"),
        ("make her hair red; a hat too", "a photo of a woman with red hair and a hat"),
        ("a woman, make her hair blue and add a hat", "a photo of a woman with blue hair and a hat"),
    ],
)
def test_every_part_of_an_instruction_is_in_the_description(told: str, said: str) -> None:
    assert refusal(told) == f"the prompt is an instruction: say what the picture should show, as in “{said}”"
    assert instruction_in(said) is None
    assert resolve_prompts(EditRequest(prompt=said), SUBJECTS)


@pytest.mark.parametrize(
    "told",
    [
        "swap the background behind the woman",
        "change hair",
        "make her hair",
        "remove her",
        "remove everything",
        "brighten it",
        "blur the background",
        "make her face thinner",
        "make her hair red or blue",
        "make her smile with a hat",
        "change the background and make her smile",
        "add a hat, blur the background",
        "add a hat. Change the background.",
        "make her smile and then do something wild",
        "take her hat and glasses off",
        "don't change the face",
        "red hair, don't change the face",
    ],
)
def test_what_is_not_understood_as_a_whole_gets_an_example_that_says_so(told: str) -> None:
    example = "for example “a photo of a woman with red hair”"
    assert refusal(told) == f"the prompt is an instruction: describe the picture that you want, {example}"


def test_a_church_is_not_given_hair() -> None:
    for told, said in (
        ("make it snow", "as in “a photo of a church in snow”"),
        ("make the church look better", "for example “a photo of a church in snow”"),
    ):
        with pytest.raises(PromptInvalid, match=said):
            resolve_prompts(EditRequest(prompt=told, subject="church"), ("woman", "church"))


def test_the_example_shows_who_is_meant() -> None:
    for told in ("colour hair blue, man", "shave his beard"):
        assert refusal(told).endswith("for example “a photo of a man with red hair”")
    with pytest.raises(PromptInvalid, match="describe the picture that you have, for example “a photo of a woman"):
        resolve_prompts(EditRequest(prompt="a woman", source_prompt="blur the background"), SUBJECTS)


@pytest.mark.parametrize(
    ("text", "told", "said"),
    [
        ("a woman with red hair, keep everything else unchanged", "keep everything else unchanged", "a woman with red hair"),
        ("a woman with red hair, don't change the face", "don't change the face", "a woman with red hair"),
        ("a woman with red hair, don’t change face", "don't change face", "a woman with red hair"),
        ("a woman with red hair. Keep the rest of the photo.", "Keep the rest of the photo", "a woman with red hair"),
        ("a woman with red hair; do not touch her eyes", "do not touch her eyes", "a woman with red hair"),
        ("a woman with red hair but keep her face the same", "but keep her face the same", "a woman with red hair"),
        ("a woman with red hair and leave the background as it is", "and leave the background as it is", "a woman with red hair"),
        ("a woman with red hair (keep the face)", "keep the face", "a woman with red hair"),
        ("a woman with red hair - everything else stays the same", "everything else stays the same", "a woman with red hair"),
        ("a woman with red hair, everything else unchanged", "everything else unchanged", "a woman with red hair"),
        ("a woman with red hair, face unchanged, in a park", "face unchanged", "a woman with red hair, in a park"),
        ("a woman with red hair, keeping everything else the same", "keeping everything else the same", "a woman with red hair"),
        ("a woman with red hair while keeping the rest", "while keeping the rest", "a woman with red hair"),
        ("a woman with red hair without changing her face", "without changing her face", "a woman with red hair"),
        ("a woman with red hair keep everything else", "keep everything else", "a woman with red hair"),
        ("a woman with red hair, preserve identity", "preserve identity", "a woman with red hair"),
        ("a woman with red hair, please maintain the pose", "please maintain the pose", "a woman with red hair"),
        ("a woman with red hair, only change the hair", "only change the hair", "a woman with red hair"),
        ("a woman with red hair, change nothing else", "change nothing else", "a woman with red hair"),
        ("a woman with red hair, no other changes", "no other changes", "a woman with red hair"),
        ("a woman with red hair, with nothing else changed", "with nothing else changed", "a woman with red hair"),
        ("a woman with red hair, her face must stay the same", "her face must stay the same", "a woman with red hair"),
        ("keep the face, woman with blue hair", "keep the face", "woman with blue hair"),
        ("a man, keep the hat, don't change the eyes, smiling", "keep the hat", "a man, smiling"),
    ],
)
def test_a_wish_to_keep_the_rest_is_dropped_from_a_description(text: str, told: str, said: str) -> None:
    for field in ("prompt", "source_prompt"):
        with pytest.raises(PromptInvalid) as refused:
            resolve_prompts(EditRequest(**{"prompt": "a woman", field: text}), SUBJECTS)  # type: ignore[arg-type]
        assert (refused.value.reason, refused.value.field) == ("prompt_instruction", field)
        assert str(refused.value) == (
            f"the {field} holds an instruction, “{told}”: an edit keeps what it is not asked to change, so leave that out, "
            f"as in “{said}”"
        )
    assert instruction_in(said) is None
    assert resolve_prompts(EditRequest(prompt=said), SUBJECTS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a woman with brown hair, make her hair red", "a photo of a woman with red hair"),
        ("a woman with brown hair and make her hair blue", "a photo of a woman with blue hair"),
        ("a woman, please add a hat", "a photo of a woman with a hat"),
        ("a woman and add glasses", "a photo of a woman with glasses"),
        ("a man with a beard, but change his hair to blond", "a photo of a man with blond hair"),
        ("a woman, make her hair blue, keep everything else", "a photo of a woman with blue hair"),
        ("only make her hair blue", "a photo of a woman with blue hair"),
    ],
)
def test_an_instruction_behind_a_description_is_said_as_one(text: str, said: str) -> None:
    with pytest.raises(PromptInvalid) as refused:
        resolve_prompts(EditRequest(prompt=text), SUBJECTS)
    assert str(refused.value) == f"the prompt is an instruction: say what the picture should show, as in “{said}”"


def test_the_subject_that_was_given_is_the_suggestions() -> None:
    with pytest.raises(PromptInvalid, match="“a photo of an astronaut with a hat”"):
        resolve_prompts(EditRequest(prompt="add a hat", subject="astronaut"), SUBJECTS)


@pytest.mark.parametrize(
    ("told", "said", "photo"),
    [
        ("turn the woman into a man", "a photo of a [I] man", "a photo of a woman"),
        ("make the woman a man", "a photo of a [I] man", "a photo of a woman"),
        ("change the woman to a man", "a photo of a [I] man", "a photo of a woman"),
        ("change woman to man", "a photo of a [I] man", "a photo of a woman"),
        ("the woman should be a man", "a photo of a [I] man", "a photo of a woman"),
        ("make the woman look like a man", "a photo of a [I] man", "a photo of a woman"),
        ("replace the woman with a man", "a photo of a [I] man", "a photo of a woman"),
        ("turn a photo of a woman into a photo of a man", "a photo of a [I] man", "a photo of a woman"),
        ("turn her into a man", "a photo of a [I] man", "a photo of a woman"),
        ("make him a woman", "a photo of a [I] woman", "a photo of a man"),
        ("I want him to become a woman in a red dress", "a photo of a [I] woman in a red dress", "a photo of a man"),
        ("make the person a man", "a photo of a [I] man", "a photo of a person"),
        ("turn her into a very old and happy man", "a photo of an old, happy [I] man", "a photo of a woman"),
        ("turn her into a man with red hair and glasses", "a photo of a [I] man with red hair and glasses", "a photo of a woman"),
        ("make the man a woman and add a hat", "a photo of a [I] woman with a hat", "a photo of a man"),
        ("add a hat and turn her into a man", "a photo of a [I] man with a hat", "a photo of a woman"),
        ("make the woman an older woman", "a photo of an old woman", None),
        ("turn the woman into a woman with red hair", "a photo of a woman with red hair", None),
        ("turn the woman into a witch", "a photo of a woman as a witch", None),
        ("make the woman a queen", "a photo of a woman as a queen", None),
        ("turn the woman into an oil painting", "an oil painting of a woman", None),
    ],
)
def test_who_becomes_somebody_else_has_one_word_in_the_photo_and_another_in_the_edit(
    told: str, said: str, photo: str | None
) -> None:
    with_source = f", with the source_prompt “{photo}”" if photo else ""
    assert refusal(told) == f"the prompt is an instruction: say what the picture should show, as in “{said}”{with_source}"
    resolved = resolve_prompts(EditRequest(prompt=said, source_prompt=photo), SUBJECTS)
    if photo is not None:
        assert (resolved.source, resolved.target) == (f"a photo of a [I] {photo.split()[-1]}", said)


@pytest.mark.parametrize("told", ["turn the men into women", "make them men", "turn this woman into another woman"])
def test_several_or_the_same_get_an_example(told: str) -> None:
    assert "describe the picture that you want, for example “a photo of a " in refusal(told)


def test_another_subject_needs_the_photo_without_what_is_removed_and_no_subject_that_was_given() -> None:
    assert refusal("turn her into a man and remove the hat").endswith(
        "without the hat: as in “a photo of a [I] man”, with the source_prompt “a photo of a woman with a hat”"
    )
    with pytest.raises(PromptInvalid, match="with the source_prompt “a photo of a woman”; leave `subject` out"):
        resolve_prompts(EditRequest(prompt="turn her into a man", subject="woman"), SUBJECTS)


@pytest.mark.parametrize(
    ("told", "said"),
    [("turn the woman into a man", "a photo of a woman"), ("remove the hat", "a photo of a woman with a hat")],
)
def test_a_source_prompt_says_what_is_there_before_the_edit(told: str, said: str) -> None:
    with pytest.raises(PromptInvalid) as refused:
        resolve_prompts(EditRequest(prompt="a woman", source_prompt=told), SUBJECTS)
    assert str(refused.value) == f"the source_prompt is an instruction: say what the picture shows, as in “{said}”"
