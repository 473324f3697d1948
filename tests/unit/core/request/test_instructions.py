"""Which prompts tell what to do, which describe, and how the first are said as the second."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2edit_core.errors import PromptInvalid
from s2edit_core.request.prompts import resolve_prompts, resolve_reference
from s2edit_core.request.spec import EditRequest, LearningRequest
from s2edit_core.request.wording.instructions import NOUNS_TOO, VERBS, instruction_in
from s2edit_core.request.words import tidy

WORDING = "(?:say what the picture should show, |describe the picture that you want, for example )"
SUBJECTS = ("woman", "man", "person")

INSTRUCTIONS = """
make her hair red
Make the hair longer
MAKE HER SMILE
make it red
make him older
make a woman smile
make hair curly
make up her face
change the hair to blond
change her hair color to blond
change hair to black
change the background
change her into a queen
add glasses
add a hat
Add some lipstick
add sunglasses to the man
remove the hat
remove glasses
delete her earrings
erase the beard
give him a beard
give the woman a hat
turn her into a witch
turn the man into an old man
turn photo into a painting
put a hat on her
put on glasses
put her in a red dress
replace the hat with a cap
swap her hat for a crown
take off the glasses
take away the hat
take her hat off
get rid of the beard
dye her hair red
dye hair red
color her hair blue
colour the lips red
paint her nails black
cut her hair short
shave his beard
dress her in red
show a woman with red hair
show me a man with a beard
draw a hat on her head
generate a photo of a woman with a hat
create a photo of a man in a suit
imagine a woman with blue hair
let her smile
have him wear a hat
keep her face but change the hair
brighten the photo
blur the background
whiten the teeth
recolor hair to red
convert the photo into a drawing
transform her into a vampire
open her mouth
close his eyes
smooth the skin
fix her hair
edit the photo so that she smiles
use a hat
please make her hair red
please add glasses
Please, a woman with red hair
can you add a hat?
Could you please change her hair to blond
would you make him smile
can we give her bangs
Can I have a hat on her?
I want her to smile
i'd like red hair
I would like her hair to be red
I need a hat on his head
let's give him glasses
now make her sad
just remove the hat
hey, make her laugh
her hair should be red
she should wear a hat
the man must look older
how about a hat
1. make her blond
- add earrings
"make her hair red
– make her smile
a photo of a woman. Make her hair red.
a woman with brown hair; please add a hat
""".strip().split("\n")
INSTRUCTIONS += ["  make   her\n hair red ", "\u200bmake\u00a0her hair red"]

DESCRIPTIONS = """
a photo of a woman with red hair
a woman with red hair
woman
a woman making pottery
a man who changes a tyre
a made-up woman
a photo of a woman adding salt
a woman who adds salt to a soup
a woman being given a prize
a man removing his hat
a woman putting on lipstick
a photo of a man turning around
a woman turned into a witch
a woman whose hair was dyed red
a man painting a wall
a painted man
paint-splattered man
make-up artist woman
make up artist, a woman with red hair
make up on a woman's face
makeup on a woman
make-believe princess, a photo of a woman
make believe queen, a woman with a crown
change room with a man in it
change of seasons, a woman in a park
change purse in a woman's hand
turn of the century portrait of a woman
turn-of-the-century portrait of a man
cut glass behind a woman
cut-out of a man
show dog beside a man
show jumping woman
set of two women
set designer, a woman with glasses
dress shirt on a man
dress of red silk on a woman
color photo of a woman
colour portrait of a man
color film still of a woman
open mouth, a photo of a man
open-mouthed woman
close-up of a woman
close up of a man with a beard
light brown hair, a woman
light from the left, a photo of a man
smooth skin, a photo of a woman
smiling woman
style icon, a woman with a hat
give-away queen, a woman
give way sign behind a woman
swap meet with a woman
put-together woman
add-on lashes on a woman
age 30 woman
aged man
cover girl with blond hair
cover of a magazine with a woman
frame of a film with a man
take-away cup in a woman's hand
use of light: a portrait of a woman
wear and tear, an old man
fade haircut on a man
braid hairstyle on a woman
render of a woman
sketch of a man
draw of a lottery with a woman
edit of a photo of a woman
crop top on a woman
keep fit class, a woman
lift operator, a man
place of worship with a woman
mask on a woman's face
move towards the camera, a woman
trim beard, a photo of a man
thin man with glasses
slim woman in a red dress
lower lip piercing on a woman
raised hand of a man
just a woman with red hair
now a smiling woman
a woman, please-touch museum behind her
a woman who would like a hat
a woman with a sign that says "make love, not war"
a woman holding a poster: "Stop. Give peace a chance."
a man in a T-shirt with the words "add salt"
the woman who wants to change the world
her with red hair
two women and a man who take a photo
a photo of a [I] woman with [A] makeup
[I] woman with a hat
red-haired woman, making a face
a woman at St. Mark's. Removed hats in the background
creating a sculpture, a woman with an apron
transformed by age, a man
addition of colors, portrait of a woman
removal of a hat by a man
person giving a speech
girl removes her shoes, a photo of a woman
can I help you, a woman at a counter
would you rather game with a woman
will he stay? a man in a doorway
a can opener in a woman's hand
will power, a portrait of a man
i-phone photo of a woman
only child, a girl in a red dress
a woman keeping her eyes closed
a man keeping the score
a woman leaving the room
a woman, leaving everything behind
two men who swim and leave the lake
two women laugh and make a cake
people who clean, and remove the dirt
a woman crossing the street without touching the ground
a woman at a table, her meal untouched
two women with the same face
two women in the same dress
a woman with no changes of clothes
a woman with a sign, "keep everything else unchanged"
a man holding a keep-out sign
a woman beside a "don't touch" sign
a woman next to a do not enter sign
a woman, hair cut short
a woman with a hat and make up
a woman with braids and a cut
a man alone, in a park
a woman with long hair, smooth skin, light make-up
a woman with nothing else but a hat
a woman in a dress with everything in place
a man in change of a shop
letting go, a woman with a balloon
""".strip().split("\n")


@pytest.mark.parametrize("text", INSTRUCTIONS)
def test_an_instruction_is_refused_with_another_wording(text: str) -> None:
    with pytest.raises(PromptInvalid, match=rf"is an instruction: {WORDING}.*“a \w+ of ") as refused:
        resolve_prompts(EditRequest(prompt=text), SUBJECTS)
    assert (refused.value.reason, refused.value.field) == ("prompt_instruction", "prompt")
    suggested = str(refused.value).partition("“")[2].partition("”")[0]
    assert instruction_in(suggested) is None
    assert resolve_prompts(EditRequest(prompt=suggested), SUBJECTS)


@pytest.mark.parametrize("text", DESCRIPTIONS)
def test_a_description_is_none(text: str) -> None:
    assert instruction_in(text) is None


def test_both_tables_are_long_enough() -> None:
    assert len(set(INSTRUCTIONS)) >= 60
    assert len(set(DESCRIPTIONS)) >= 60


def test_an_instruction_is_none_in_any_prompt() -> None:
    with pytest.raises(PromptInvalid, match="the source_prompt is an instruction: say what the picture shows") as refused:
        resolve_prompts(EditRequest(prompt="a woman", source_prompt="make the woman smile"), SUBJECTS)
    assert (refused.value.reason, refused.value.field) == ("prompt_instruction", "source_prompt")
    for kind, prompt in (("identity", "make the woman smile"), ("attribute", "give the woman [A] makeup")):
        with pytest.raises(PromptInvalid) as refused:
            resolve_reference(LearningRequest(kind=kind, prompt=prompt), SUBJECTS)  # type: ignore[arg-type]
        assert refused.value.reason == "prompt_instruction"


@given(st.sampled_from((*VERBS, *NOUNS_TOO)), st.sampled_from(["her hair red", "the hat"]))
def test_every_verb_counts_with_an_object_and_never_within_a_description(verb: str, rest: str) -> None:
    assert instruction_in(f"{verb} {rest}") is not None
    assert instruction_in(f"Please {verb.upper()} {rest}!") is not None
    assert instruction_in(f"a woman, to {verb} {rest}") is None
    assert instruction_in(f"{verb}-like woman") is None


@given(st.text(max_size=60))
def test_any_text_is_either(text: str) -> None:
    told = instruction_in(text)
    assert told is None or told in tidy(text)
    if told is not None:
        with pytest.raises(PromptInvalid):
            resolve_prompts(EditRequest(prompt=text), SUBJECTS)
