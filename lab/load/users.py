"""Locust's process: `python -m lab.load.users SCENARIO OUT`. Importing Locust replaces a process's sockets and locks by gevent's.

All requests go to the loopback address of the scenario. An edit is followed by its event stream or by polls, as apps do. Its phases
come from its events, which carry the service's own times.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gevent
from locust import HttpUser, User, constant, task
from locust.env import Environment
from locust.exception import StopUser

from lab.load.events import Edit, phases, total
from lab.load.scenario import Edited, Observed, Scenario, Subject

POLL_S = 0.25
FURTHER = 3
"""Further edits of a person before the next one."""
WISHES = ("with long red hair", "with glasses", "with a hat", "with short black hair", "with long blond hair and glasses")
OVER = ("succeeded", "failed", "canceled")


class _User(HttpUser):
    """An app's user: posts edits, follows them to their end and fetches the results."""

    abstract = True
    wait_time = constant(0)
    scenario: Scenario
    observed: Observed
    numbers: Iterator[int]  # of users of this class

    def on_start(self) -> None:
        self.name = f"{type(self).__name__.lower()}-{next(self.numbers)}"
        self.draw = random.Random(f"{self.scenario.seed} {self.name}")
        self.client.headers["S2Edit-User"] = self.name
        self.open: set[str] = set()
        self.left = self.scenario.edits

    def on_stop(self) -> None:
        """Cancel what is not over, so that it takes no time of what is measured next."""
        for edit_id in self.open:
            self.client.post(f"/edits/{edit_id}/cancel", name="cancel")

    def count_edit(self) -> None:
        """Count an edit before it is posted. Stop this user if it has made all its edits, and the run with the last user."""
        if self.left == 0:
            self.observed.stopped += 1
            if self.observed.stopped == self.scenario.crowd + self.scenario.single:
                assert self.environment.runner is not None
                gevent.spawn(self.environment.runner.quit)  # it kills all users: called from a user, it would not come to its end
            raise StopUser
        self.left = None if self.left is None else self.left - 1

    def post(self, subject: Subject, identity: str | None) -> str | None:
        """Post an edit of a new person, or of the known `identity`. Return its id, or None if it was refused."""
        wish = self.draw.choice(WISHES)
        fields = {"prompt": f"a photo of a {subject.word} {wish}", "preset": self.scenario.preset}
        body: dict[str, Any] = {"json": fields | {"identity": identity}}
        if identity is None:
            form = fields | {"source_prompt": f"a photo of a {subject.word}", "seed": str(self.draw.randrange(2**31))}
            body = {"data": form, "files": {"image": ("photo.png", Path(subject.photo).read_bytes(), "image/png")}}
        name = "POST /edits, a photo" if identity is None else "POST /edits, an identity"
        with self.client.post("/edits", **body, name=name, catch_response=True) as answer:
            if answer.status_code != 202:
                answer.failure(str(answer.status_code))
                time.sleep(POLL_S)
                return None
            edit_id = str(answer.json()["id"])
        self.open.add(edit_id)
        return edit_id

    def follow(self, edit_id: str, *, first: bool, by_stream: bool) -> Edited:
        """Wait for the end of an edit, fetch its result, and note what it took."""
        if not by_stream:
            self._poll(edit_id)
        events = list(self._events(edit_id))
        last = self._ended(edit_id)
        self.open.discard(edit_id)
        if last["state"] == "succeeded":
            url = urlsplit(last["result"]["url"])
            self.client.get(f"{url.path}?{url.query}", name="GET a result")
        edited = Edited(self.name, first, last["state"], round(total(last), 4), phases(events), last["identity"])
        self.observed.edits.append(edited)
        return edited

    def _ended(self, edit_id: str) -> Edit:
        """Return the edit that is over. A refusal is counted, and the request repeated."""
        while True:
            answer = self.client.get(f"/edits/{edit_id}", name="GET /edits/{id}")
            if answer.status_code == 200 and (edit := answer.json())["state"] in OVER:
                return dict(edit)
            time.sleep(POLL_S)

    def _poll(self, edit_id: str) -> None:
        tag, state = "", ""
        while state not in OVER:
            name = "GET /edits/{id}, a poll"
            with self.client.get(f"/edits/{edit_id}", headers={"If-None-Match": tag}, name=name, catch_response=True) as answer:
                if answer.status_code == 304:
                    answer.success()
                elif answer.status_code == 200:
                    tag, state = answer.headers["ETag"], answer.json()["state"]
            time.sleep(POLL_S)

    def _events(self, edit_id: str) -> Iterator[Edit]:
        """Return the events of an edit from the first one to its end."""
        kind, name = "", "GET /edits/{id}/events, until the head"
        with self.client.get(f"/edits/{edit_id}/events", name=name, stream=True, catch_response=True) as answer:
            for line in answer.iter_lines(chunk_size=None, decode_unicode=True):
                field, _, value = line.partition(": ")
                if field == "event":
                    kind = value
                elif field == "data" and kind == "edit":
                    yield json.loads(value)


class Crowd(_User):
    """Edits a new person, then the same one again some times, and so on."""

    numbers = itertools.count()

    def on_start(self) -> None:
        super().on_start()
        number = int(self.name.rpartition("-")[2])
        own = self.scenario.subjects[1 + number :: max(1, self.scenario.crowd)]
        self.subjects = itertools.cycle(own)
        self.by_stream = number % 2 == 0

    @task
    def edit(self) -> None:
        subject, identity = next(self.subjects), None
        for number in range(1 + FURTHER):
            self.count_edit()
            edit_id = self.post(subject, identity)
            if edit_id is None:
                return
            identity = self.follow(edit_id, first=number == 0, by_stream=self.by_stream).identity
            self.client.get("/edits", name="GET /edits")
            if identity is None:
                return


class Single(_User):
    """Edits one person again and again."""

    numbers = itertools.count()

    def on_start(self) -> None:
        super().on_start()
        self.identity = self.scenario.identity

    @task
    def edit(self) -> None:
        self.count_edit()
        edit_id = self.post(self.scenario.subjects[0], self.identity)
        if edit_id is not None:
            self.identity = self.follow(edit_id, first=self.identity is None, by_stream=True).identity


class Flood(_User):
    """Keeps `Scenario.flood` first edits of new people unfinished."""

    numbers = itertools.count()

    @task
    def edit(self) -> None:
        if len(self.open) < self.scenario.flood:
            self.post(self.draw.choice(self.scenario.subjects[1:]), None)
            return
        answer = self.client.get("/edits?limit=100", name="GET /edits")
        for edit in answer.json()["items"] if answer.status_code == 200 else ():
            if edit["id"] in self.open and edit["state"] in OVER:
                self.follow(edit["id"], first=True, by_stream=True)
        time.sleep(POLL_S)


def run(scenario: Scenario) -> Observed:
    """Run the scenario's users until its time is over, and return what they saw."""
    observed = Observed()
    counts = {Crowd: scenario.crowd, Single: int(scenario.single), Flood: int(scenario.flood > 0)}
    chosen: list[type[User]] = [kind for kind, count in counts.items() if count]
    for kind, count in counts.items():
        kind.scenario, kind.observed, kind.fixed_count = scenario, observed, count
    environment = Environment(user_classes=chosen, host=scenario.url)

    def note(name: str, response_time: float, exception: object, response: Any = None, **_: object) -> None:
        observed.requests.setdefault(name, []).append(round(response_time, 2))
        if exception is not None:
            kinds, kind = (
                observed.refused.setdefault(name, {}),
                str(getattr(response, "status_code", None) or type(exception).__name__),
            )
            kinds[kind] = kinds.get(kind, 0) + 1

    environment.events.request.add_listener(note)  # type: ignore[no-untyped-call]
    runner = environment.create_local_runner()
    began = time.monotonic()
    runner.start(sum(counts.values()), spawn_rate=100)
    ends = gevent.spawn_later(scenario.seconds, runner.quit)
    runner.greenlet.join()
    ends.kill()
    observed.seconds = round(time.monotonic() - began, 2)
    return observed


if __name__ == "__main__":
    run(Scenario.read(Path(sys.argv[1]))).write(Path(sys.argv[2]))
