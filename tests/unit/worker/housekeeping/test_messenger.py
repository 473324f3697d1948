"""Webhooks: each is delivered at least once, signed, under one message id."""

from __future__ import annotations

import json
import random
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook
from structlog.testing import capture_logs

from api.description.webhooks import WebhookMessage
from s2edit_core.request.spec import EditRequest, LearningRequest, MaskRequest
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.lifecycle.survey import rebuild
from s2edit_jobs.records.errors import ArtifactsUnavailable
from s2edit_jobs.records.record import Owner, tenant_of_test_mode
from s2edit_jobs.records.webhooks import DELAYS_S, JITTER, delay_s
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.artifacts import edit_key
from s2edit_jobs.stores.markers import OUTBOX
from tests.unit.worker.attempts.faults import down
from tests.unit.worker.conftest import ANN, FILES, InProcessService
from tests.waiting import until
from worker.housekeeper import MESSENGERS
from worker.housekeeping.breaker import FAILURES, REST_S, Breaker
from worker.housekeeping.messenger import AT_ONCE, LEASE_S, REPEAT_S, Messenger

KEYS = ["whsec_" + "A" * 32, "whsec_" + "B" * 32]
URL = "https://app.example.com/hook"


class Receiver:
    """A receiver that answers with the next of `answers`, and repeats the last."""

    def __init__(self, *answers: int | Exception) -> None:
        self.answers = list(answers)
        self.got: list[tuple[str, bytes, dict[str, str]]] = []

    def __call__(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        self.got.append((url, body, headers))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def service() -> InProcessService:
    service = InProcessService()
    settings = Settings(data_dir=Path("/dev/null/nowhere"), webhook_secrets=SecretStr(" ".join(KEYS)))
    service.services = replace(service.services, settings=settings)
    service.jobs = Jobs(service.services)
    return service


def messenger(service: InProcessService, receiver: Receiver) -> Messenger:
    return Messenger(service.services, post=receiver, rng=random.Random(1))


def webhook_record(service: InProcessService, job_id: str) -> Any:
    return json.loads(service.artifacts.get(edit_key(ANN, job_id, "webhook.json")))


def test_the_end_of_an_edit_is_told_once_with_a_signature_of_every_key(service: InProcessService) -> None:
    receiver = Receiver(204)
    job_id = service.accept(webhook_url=URL)
    assert not messenger(service, receiver).send_next(), "the edit is not over"
    service.work()
    assert messenger(service, receiver).send_next()
    assert not messenger(service, receiver).send_next()
    ((url, body, headers),) = receiver.got
    assert url == URL
    assert headers["webhook-id"] == f"msg_{job_id}"
    for key in KEYS:
        message = Webhook(key).verify(body, headers)
    assert message["type"] == "edit.succeeded"
    assert message["data"] == {"id": job_id, "state": "succeeded", "identity": service.get(job_id).identity}
    assert webhook_record(service, job_id)["tries"] == 1
    assert list(service.artifacts.list(OUTBOX)) == []


def test_a_learning_says_what_it_has_learned(service: InProcessService) -> None:
    receiver = Receiver(200)
    requests = [
        LearningRequest(kind="attribute", prompt="a woman with [A] hat"),
        LearningRequest(kind="identity", prompt="a woman"),
        MaskRequest(),
    ]
    jobs = []
    for request in requests:
        files = {"image": FILES["image"]} if isinstance(request, MaskRequest) else FILES
        jobs.append(service.jobs.accept(draft(service.services, ANN, request, files, webhook_url=URL), files).id)
        service.work()
        assert messenger(service, receiver).send_next()
    bodies = [json.loads(body) for _, body, _ in receiver.got]
    assert [body["type"] for body in bodies] == ["attribute.succeeded", "identity.succeeded", "mask.succeeded"]
    learned = [service.get(job_id).identity for job_id in jobs]
    assert [body["data"] for body in bodies] == [
        {"id": jobs[0], "state": "succeeded", "attribute": learned[0]},
        {"id": jobs[1], "state": "succeeded", "identity": learned[1]},
        {"id": jobs[2], "state": "succeeded"},
    ]
    for body in bodies:
        assert WebhookMessage.model_validate(body).model_dump(mode="json", exclude_unset=True) == body


def test_a_failure_is_told_with_its_reason(service: InProcessService) -> None:
    receiver = Receiver(200)
    service.accept(EditRequest(prompt="a photo of a dog"), webhook_url=URL)
    service.work()
    messenger(service, receiver).send_next()
    message = json.loads(receiver.got[0][1])
    assert (message["type"], message["data"]["error"]["code"]) == ("edit.failed", "subject_unknown")


def test_a_canceled_edit_is_told_too(service: InProcessService) -> None:
    receiver = Receiver(200)
    service.jobs.cancel(ANN, service.accept(webhook_url=URL))
    messenger(service, receiver).send_next()
    assert json.loads(receiver.got[0][1])["type"] == "edit.canceled"


def test_without_an_address_nobody_is_told(service: InProcessService) -> None:
    receiver = Receiver(200)
    service.accept()
    service.work()
    assert not messenger(service, receiver).send_next()
    assert receiver.got == []


def test_a_receiver_that_is_down_for_two_days_is_told_with_the_same_id(service: InProcessService) -> None:
    receiver = Receiver(*[OSError("refused"), 500, 302, 429, 503, OSError("timeout"), 404], 200)
    job_id = service.accept(webhook_url=URL)
    service.work()
    began = service.now
    for tries in range(7):
        assert messenger(service, receiver).send_next()
        assert not messenger(service, receiver).send_next(), "not again at once"
        service.now += DELAYS_S[tries] * (1 + JITTER) + 1
    assert messenger(service, receiver).send_next()
    assert service.now - began > 24 * 3600
    assert len({headers["webhook-id"] for _, _, headers in receiver.got}) == 1
    assert len({body for _, body, _ in receiver.got}) == 1
    assert (webhook_record(service, job_id)["tries"], webhook_record(service, job_id)["delivered_at"] is None) == (8, False)


def test_a_receiver_that_never_takes_it_is_given_up_and_that_is_kept(service: InProcessService) -> None:
    receiver = Receiver(500)
    job_id = service.accept(webhook_url=URL)
    service.work()
    while messenger(service, receiver).send_next():
        service.now += 2 * 86_400
    assert len(receiver.got) == len(DELAYS_S) + 1
    assert webhook_record(service, job_id) == {"delivered_at": None, "tries": 10, "said": 500}
    assert list(service.artifacts.list(OUTBOX)) == []


def test_a_receiver_that_is_gone_is_not_asked_again(service: InProcessService) -> None:
    receiver = Receiver(410)
    job_id = service.accept(webhook_url=URL)
    service.work()
    messenger(service, receiver).send_next()
    service.now += 7 * 86_400
    assert not messenger(service, receiver).send_next()
    assert webhook_record(service, job_id)["delivered_at"] is None


def test_a_message_outlives_the_loss_of_the_job_store(service: InProcessService) -> None:
    receiver = Receiver(200)
    over, waiting = service.accept(webhook_url=URL), service.accept(webhook_url=URL)
    service.work()
    service.database.empty()
    assert rebuild(service.services) == 1
    assert messenger(service, receiver).send_next()
    assert not messenger(service, receiver).send_next()
    service.work()
    messenger(service, receiver).send_next()
    assert [headers["webhook-id"] for _, _, headers in receiver.got] == [f"msg_{over}", f"msg_{waiting}"]


def test_a_sender_that_dies_after_sending_sends_it_again_with_the_same_id(service: InProcessService) -> None:
    receiver = Receiver(200)
    job_id = service.accept(webhook_url=URL)
    service.work()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.artifacts, "put", down(ArtifactsUnavailable("the process ends here")))
        with pytest.raises(ArtifactsUnavailable):
            messenger(service, receiver).send_next()
    assert not messenger(service, receiver).send_next(), "the other messenger may still be sending"
    service.now += LEASE_S + 1
    assert messenger(service, receiver).send_next()
    assert [headers["webhook-id"] for _, _, headers in receiver.got] == [f"msg_{job_id}"] * 2


def test_of_an_erased_edit_nothing_is_told(service: InProcessService) -> None:
    receiver = Receiver(200)
    service.accept(webhook_url=URL)
    service.work()
    service.artifacts.delete_prefix(ANN.prefix)
    assert messenger(service, receiver).send_next()
    assert receiver.got == []
    assert service.artifacts.objects == {}


def test_tries_are_spread(service: InProcessService) -> None:
    waits = {delay_s(3, random.Random(seed)) for seed in range(20)}
    assert len(waits) == 20
    assert all(wait is not None and abs(wait / DELAYS_S[2] - 1) <= JITTER for wait in waits)


def test_the_thread_delivers_and_stops(service: InProcessService) -> None:
    receiver = Receiver(200)
    service.accept(webhook_url=URL)
    service.work()
    one = messenger(service, receiver)
    one.start()
    until(lambda: receiver.got)
    one.stop()


@pytest.mark.parametrize(("owner", "times"), [(Owner(tenant_of_test_mode("app"), "ann"), 2), (ANN, 1)], ids=["test mode", "live"])
def test_a_message_is_sent_twice_by_one_id_where_test_mode_was_asked_to(
    service: InProcessService, owner: Owner, times: int
) -> None:
    receiver = Receiver(204)
    request = EditRequest(prompt="a woman [test:webhook_twice]")
    job_id = service.jobs.accept(draft(service.services, owner, request, FILES, webhook_url=URL), FILES).id
    service.jobs.cancel(owner, job_id)
    for _ in range(3):
        while messenger(service, receiver).send_next():
            pass
        service.now += REPEAT_S
    assert [headers["webhook-id"] for _, _, headers in receiver.got] == [f"msg_{job_id}"] * times
    messages = [WebhookMessage.model_validate_json(body) for _, body, _ in receiver.got]
    assert [message.data.test for message in messages] == [owner.test] * times
    assert list(service.artifacts.list(OUTBOX)) == []


def test_messages_to_a_host_that_does_not_answer_wait_without_an_exchange(service: InProcessService) -> None:
    receiver = Receiver(TimeoutError())
    sender = Messenger(service.services, breaker=Breaker(clock=lambda: service.now), post=receiver, rng=random.Random(1))
    jobs = [service.accept(webhook_url=URL) for _ in range(FAILURES + 3)]
    for _ in jobs:
        service.work()
    with capture_logs() as logs:
        while sender.send_next():
            pass
    assert len(receiver.got) == FAILURES, "the others are put off"
    assert [line["host"] for line in logs if line["action"] == "receiver_rests"] == [urlsplit(URL).netloc]
    assert service.database.client.hgetall("s2edit:tries") == dict.fromkeys(jobs, "1")
    rested = service.now + REST_S
    while (due := first_due(service)) < rested:
        service.now = due
        sender.send_next()
    assert len(receiver.got) == FAILURES, "while the receiver rests"
    service.now = first_due(service)
    sender.send_next()
    assert len(receiver.got) == FAILURES + 1, "then one tries it"


def test_however_many_wait_for_a_host_that_is_down_each_ends_as_documented(service: InProcessService) -> None:
    receiver = Receiver(TimeoutError())
    sender = Messenger(service.services, breaker=Breaker(clock=lambda: service.now), post=receiver, rng=random.Random(1))
    jobs = [service.accept(webhook_url=URL) for _ in range(30)]
    for job_id in jobs:
        service.jobs.cancel(ANN, job_id)
    began, taken = service.now, 0
    while list(service.artifacts.list(OUTBOX)):
        taken += sender.send_next()
        service.now = max(service.now, first_due(service))
    assert taken <= len(jobs) * (len(DELAYS_S) + 1)
    assert service.now - began < (sum(DELAYS_S) + len(DELAYS_S) * REST_S) * (1 + JITTER)
    assert {webhook_record(service, job_id)["tries"] for job_id in jobs} == {len(DELAYS_S) + 1}


def first_due(service: InProcessService) -> float:
    """Return the time at which a message is due next."""
    due = service.database.client.zrange("s2edit:outbox", 0, 0, withscores=True)
    return due[0][1] / 1000 if due else 0.0


def test_a_tenant_whose_path_never_answers_holds_back_no_other_on_the_same_host(service: InProcessService) -> None:
    host, got = "https://relay.example:8443", list[str]()

    def post(url: str, body: bytes, headers: dict[str, str]) -> int:
        got.append(urlsplit(url).path)
        if url.endswith("/hang"):
            raise TimeoutError
        return 204

    sender = Messenger(service.services, post=post, rng=random.Random(1))
    for _ in range(FAILURES):
        service.accept(webhook_url=f"{host}/hang")
    for _ in range(FAILURES):
        service.work()
        assert sender.send_next()
    for user, path in (("eve", "/b1"), ("bob", "/b2")):
        one = draft(service.services, Owner("umbrella", user), EditRequest(prompt="a woman"), FILES, webhook_url=host + path)
        service.jobs.accept(one, FILES)
        service.work()
    service.accept(webhook_url=f"{host}/a2")
    service.work()
    while sender.send_next():
        pass
    assert got == ["/hang"] * FAILURES + ["/b1", "/b2"], "the other tenant's at once, the tenant's own after the rest"
    service.database.empty()
    rebuild(service.services)
    got.clear()
    while sender.send_next():
        pass
    assert got == [], "all of the tenant's wait, although their records are lost"


def test_dead_receivers_of_one_tenant_hold_up_no_other(service: InProcessService) -> None:
    """The tenant has as many dead receivers as there are messages, so that no breaker helps."""
    release, arrived = threading.Event(), threading.Event()
    waiting: list[str] = []

    def post(url: str, body: bytes, headers: dict[str, str]) -> int:
        if "dead" in url:
            waiting.append(url)
            release.wait(30)
            raise TimeoutError
        arrived.set()
        return 204

    for number in range(3 * AT_ONCE):
        service.accept(webhook_url=f"https://dead-{number}.example/")
    other = draft(service.services, Owner("umbrella", "eve"), EditRequest(prompt="a woman"), FILES, webhook_url=URL)
    service.jobs.accept(other, FILES)
    for _ in range(3 * AT_ONCE + 1):
        service.work()
    stop = threading.Event()
    senders = [Messenger(service.services, post=post, stop=stop, name=f"{number}") for number in range(MESSENGERS)]
    for sender in senders:
        sender.start()
    assert arrived.wait(10)
    until(lambda: len(waiting) >= AT_ONCE)
    time.sleep(0.3)
    assert len(waiting) == AT_ONCE
    stop.set()
    release.set()
    for sender in senders:
        sender.stop()
        sender.join(10)
