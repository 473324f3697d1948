"""What a model reads about the tools. It has read nothing else about the service."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from api.wire.fields import KEY_PATTERN, NUMBER, WHOLE

INSTRUCTIONS = """\
s2edit edits a photo of one person with a sentence and keeps that person recognisable. It changes pixels only inside the edit \
mask: outside it every pixel of the result equals the photo.

Describe the picture as it shall be, in English: "a photo of a woman with long red hair". Never give an instruction such as "make \
her hair red": the service refuses it. Describe what you want to keep too, if it is near what changes.

The first edit of a photo learns its person, which takes most of the time; the answer names the identity (c_…). Pass that identity \
to edit the same person again without a photo and much faster. To go on from a result, pass its job (e_…) as `parent`.

A tool waits `wait_s` seconds at most. A job that is not over then goes on: call `follow` with its id. Ids stay valid after a \
restart of this server. Links to pictures expire after some minutes; `follow` gives fresh ones."""

EDIT = """\
Edit a photo of one person with a sentence.

Guarantee: outside the edit mask every pixel of the result equals the photo, except in a lossy output format or if the service \
adds a watermark. The answer states the measured largest difference. The edit mask is the person and a margin, unless you send one.

Send either `photo`, or `identity` (an earlier edit's person, no photo needed), or `parent` (an earlier edit to go on from).

`prompt` describes the picture as it shall be, not an instruction. Right: "a photo of a smiling woman with long red hair". Wrong: \
"make her smile", "red hair please". Name the person by a common word such as woman, man, girl or boy.

Returns the picture, reduced if it is large, a link to the whole file, and the ids of the job and of the identity."""

LEARN_PERSON = """\
Learn the person in a photo, so that later edits name the identity (c_…) and are fast. Optional: every edit of a new photo learns \
its person too. Ask the people in a photo, or the user, for consent, and pass it as `consent`."""

LEARN_ATTRIBUTE = """\
Learn an attribute, such as a makeup, a hat or a hairstyle, from a reference photo, so that edits can apply it to other people.

`prompt` describes the reference photo and has the placeholder [A] before the word for the attribute: "a photo of a woman with [A] \
makeup". `mask` is required and marks the attribute's region: the face for a makeup.

Returns the attribute's id (a_…). Apply it by `edit_photo` with `attributes` and a prompt that has the same placeholder: "a photo \
of a man with [A] makeup"."""

FOLLOW = """\
Wait for a job and show what came of it: the pictures of a finished edit with fresh links, or how far a job is. Use it for a job \
that was not over when another tool stopped waiting, at any later time."""

CANCEL = "Cancel a job that is queued or running. One that is over stays as it is. Its id is an e_… id."

ERASE = """\
Erase for good: an edit with its pictures (e_…), a person (c_…) or an attribute (a_…). This can't be undone, so ask the user \
first. Returns a signed receipt."""

RENAME = """\
Give a learned person (c_…) or attribute (a_…) another name. Names are for people: prompts never contain them."""

LIST_PEOPLE = "List the people that were learned: their ids (c_…), names, and the descriptions they were learned with."
LIST_ATTRIBUTES = "List the attributes that were learned: their ids (a_…), names, placeholders and descriptions."
LIST_JOBS = "List jobs, newest first: edits and learnings, with their states. Use it to find a job whose id was lost."

PICTURE = "a link that this service gave, or a data URL such as data:image/png;base64,…"

Prompt = Annotated[str, Field(description="The picture as it shall be, in English: a description, not an instruction.")]
SourcePrompt = Annotated[
    str | None,
    Field(description="The photo as it is now, such as “a photo of a woman with long brown hair”. It makes edits more exact."),
]
Description = Annotated[str, Field(description="The photo as it is, such as “a photo of a woman with long brown hair”.")]
Marked = Annotated[
    str,
    Field(description="The reference photo as it is, with [A] before the attribute's word: “a photo of a woman with [A] makeup”."),
]
Photo = Annotated[str, Field(description=f"The photo: {PICTURE}.")]
EditedPhoto = Annotated[str | None, Field(description=f"The photo: {PICTURE}. Leave it out with `identity` or `parent`.")]
PersonMask = Annotated[
    str | None,
    Field(description="The person's region, white on black, as large as the photo. By default the service finds the person."),
]
AttributeSubject = Annotated[
    str | None, Field(description="The one to four words after [A] that name the attribute, if it is not the first of them alone.")
]
AttributeMask = Annotated[str, Field(description="The attribute's region, white on black, as large as the photo.")]
EditMask = Annotated[
    str | None,
    Field(description="The only region that may change, white on black, as large as the photo. By default the mask and a margin."),
]
At = Annotated[
    str | None,
    Field(description="A pixel x,y on the person, such as 512,384, if the photo shows several people. It replaces a mask."),
]
Subject = Annotated[str | None, Field(description="The one to four words that name the person in the prompt, if not found.")]
IdentityId = Annotated[str | None, Field(description="A learned person (c_…), from an earlier answer or from list_people.")]
Parent = Annotated[str | None, Field(description="An earlier edit (e_…): its result becomes the photo.")]
Attributes = Annotated[
    list[str] | None, Field(description="Up to 4 learned attributes (a_…). The prompt has the placeholder of each.")
]
Preset = Annotated[
    Literal["balanced", "instant", "paper"] | None,
    Field(description="balanced (default), instant (fewer steps) or paper (as published, slow)."),
]
Variants = Annotated[int | None, Field(ge=1, le=8, description="How many pictures to draw, 1 (default) to 8."), WHOLE]
Seed = Annotated[
    int | None, Field(ge=0, description="The random seed, default 0. Equal inputs and seeds give equal pictures."), WHOLE
]
Guidance = Annotated[float | None, Field(description="How strongly the prompt steers the result, 1 to 30."), NUMBER]
Negative = Annotated[str | None, Field(description="What the picture must not show, in plain words.")]
Strength = Annotated[
    float | None, Field(description="Above 0, at most 1 (default). Lower values stay closer to the photo."), NUMBER
]
Consent = Annotated[str | None, Field(description="Who agreed, when and how, if the person agreed. It is stored.")]
Name = Annotated[str | None, Field(description="A name for people, such as “Evening makeup”.")]
PersonName = Annotated[str | None, Field(description="A name for people, such as “Ada”.")]
NewName = Annotated[str, Field(description="The new name, of at most 100 characters. An empty one removes the name.")]
Key = Annotated[
    str | None,
    Field(
        pattern=KEY_PATTERN,
        description="Your own key for this request. A repetition with the same key and arguments returns the same job.",
    ),
]
Wait = Annotated[float, Field(ge=0, le=600, description="Seconds to wait before the answer says how far the job is."), NUMBER]
JobId = Annotated[str, Field(description="The id of a job (e_…).")]
ConceptId = Annotated[str, Field(description="The id of a person (c_…) or an attribute (a_…).")]
AnyId = Annotated[str, Field(description="The id of an edit (e_…), a person (c_…) or an attribute (a_…).")]
State = Annotated[
    Literal["queued", "running", "succeeded", "failed", "canceled"] | None, Field(description="Only jobs in this state.")
]
Limit = Annotated[int, Field(ge=1, le=100, description="How many to list."), WHOLE]
Cursor = Annotated[str | None, Field(description="The cursor that the page before this one ended with.")]
