"""The job store's states by random walks, beside a model small enough to be read."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

from s2edit_core.request.spec import Progress
from s2edit_jobs.records.errors import JobNotFound, LeaseLost
from s2edit_jobs.records.record import TRANSITIONS, JobRecord, JobState, Lease, Outcome, Owner
from s2edit_jobs.stores.redis_store.lua import UNKNOWN_LEASE_MS
from tests.contract.conftest import StoreCase

OWNER = Owner("app", "ann")
LEASE_S = 10.0


@dataclass
class Model:
    """One job as a reader of the port's docstrings would keep it."""

    state: JobState = JobState.QUEUED
    holder: int | None = None  # the fence that may renew
    until: float = 0.0
    attempts: int = 0
    canceled: bool = False
    seen: list[JobState] = field(default_factory=lambda: [JobState.QUEUED])

    def become(self, state: JobState) -> None:
        self.state = state
        self.seen.append(state)


class JobStoreWalk(RuleBasedStateMachine):
    jobs = Bundle("jobs")
    leases = Bundle("leases")

    def __init__(self, case: StoreCase) -> None:
        super().__init__()
        self.case = case
        self.store = case.store
        self.forget = case.forget
        self.forget()
        self.now = case.now[0] = 1_800_000_000.0
        self.losses = 0
        self.models: dict[str, Model] = {}
        self.sequences: dict[str, int] = {}
        self.fences: dict[str, int] = {}

    @rule(target=jobs)
    def add(self) -> str:
        job_id = f"e_{len(self.models):04}"
        self.models[job_id] = Model()
        self.enter(job_id, sequence=1)
        return job_id

    @rule(job_id=jobs)
    def add_again(self, job_id: str) -> None:
        assert self.enter(job_id, sequence=1).state is self.models[job_id].state

    @rule(target=leases, job_id=jobs)
    def claim(self, job_id: str) -> Lease | None:
        self.requeue_lost()
        model = self.models[job_id]
        lease = self.store.leases.claim(job_id, lease_s=LEASE_S)
        assert (lease is not None) == (model.state is JobState.QUEUED)
        if lease is not None:
            model.attempts += 1
            assert lease.attempt == model.attempts
            assert lease.fence > self.fences.get(job_id, 0)
            self.fences[job_id] = model.holder = lease.fence
            model.until = self.now + LEASE_S
            model.become(JobState.RUNNING)
        return lease

    @rule(lease=leases)
    def renew(self, lease: Lease | None) -> None:
        if lease is None:
            return
        model = self.models[lease.job_id]
        if self.holds(lease):
            assert self.store.leases.renew(lease).cancel_requested == model.canceled
            model.until = self.now + LEASE_S
        else:
            with pytest.raises(LeaseLost):
                self.store.leases.renew(lease)

    @rule(lease=leases, step=st.integers(0, 50))
    def progress(self, lease: Lease | None, step: int) -> None:
        if lease is None:
            return
        if self.holds(lease):
            self.store.events.progress(lease, Progress("learning", step, 50))
            assert self.store.records.get(OWNER, lease.job_id).step == step
            assert self.store.events.since(OWNER, lease.job_id, after=0)[0][-1].step == step
        else:
            with pytest.raises(LeaseLost):
                self.store.events.progress(lease, Progress("learning", step, 50))

    @rule(lease=consumes(leases), failed=st.booleans())
    def hand_back(self, lease: Lease | None, failed: bool) -> None:
        if lease is None:
            return
        model = self.models[lease.job_id]
        if self.holds(lease):
            model.attempts -= not failed
            model.holder = None
            model.become(JobState.QUEUED)
        self.store.leases.hand_back(lease, failed=failed)

    @rule(job_id=jobs)
    def cancel(self, job_id: str) -> None:
        model = self.models[job_id]
        model.canceled |= not model.state.over
        assert self.store.records.request_cancel(OWNER, job_id).cancel_requested == model.canceled

    @rule(job_id=jobs, state=st.sampled_from([JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED]))
    def finish(self, job_id: str, state: JobState) -> None:
        model = self.models[job_id]
        if state is JobState.SUCCEEDED and model.state is JobState.QUEUED:
            return  # nobody worked on it
        stands = self.store.records.finish(job_id, OWNER, Outcome(state=state, attempt=model.attempts, finished_at=self.now))
        if not model.state.over:
            model.become(state)
        assert stands.state is model.state

    @rule(seconds=st.sampled_from([0.0, 1.0, LEASE_S]))
    def let_pass(self, seconds: float) -> None:
        self.now += seconds
        self.case.now[0] = self.now

    @rule()
    def lose_everything(self) -> None:
        self.forget()
        assert self.store.recovery.lost() is not None
        self.let_pass(1.0)
        self.losses += 1
        for job_id, model in self.models.items():
            with pytest.raises(JobNotFound):
                self.store.records.get(OWNER, job_id)
            self.enter(job_id, sequence=self.losses * 1_000_000)  # as a rebuild does
            if model.state.over:
                self.store.records.finish(job_id, OWNER, Outcome(state=model.state, attempt=0, finished_at=self.now))
                self.models[job_id] = Model(state=model.state)
            else:
                self.models[job_id] = Model()

    @rule(job_id=jobs)
    def lose_a_record(self, job_id: str) -> None:
        """Whoever asks for the job has it entered again, as the reaper does."""
        self.case.database.client.delete(f"s2edit:job:{job_id}")
        self.let_pass(1.0)
        self.losses += 1
        with pytest.raises(JobNotFound):
            self.store.records.get(OWNER, job_id)
        model = self.models[job_id]
        self.enter(job_id, sequence=self.losses * 1_000_000)
        if model.state.over:
            self.store.records.finish(job_id, OWNER, Outcome(state=model.state, attempt=0, finished_at=self.now))
        self.models[job_id] = Model(state=model.state if model.state.over else JobState.QUEUED)

    @rule(
        job_id=jobs,
        place=st.sampled_from(["line:app/ann", "due", "turns", "open:app/ann", "turn", "deadlines"]),
        whole=st.booleans(),
    )
    def lose_a_place(self, job_id: str, place: str, whole: bool) -> None:
        """The slow reconciliation adds every unfinished job again."""
        self.requeue_lost()
        self.store.leases.orphans()
        client = self.case.database.client
        if whole or place == "turn":
            client.delete(f"s2edit:{place}")
        elif place == "open:app/ann":
            client.srem(f"s2edit:{place}", job_id)
        else:
            client.zrem(f"s2edit:{place}", OWNER.tenant + "/" + OWNER.user if place == "turns" else job_id)
        for other, model in self.models.items():
            lost_lease = place == "due" and model.state is JobState.RUNNING and (whole or other == job_id)
            if lost_lease:
                model.until = self.now + UNKNOWN_LEASE_MS / 1000
            if not model.state.over:
                assert self.enter(other, sequence=1).state is model.state

    def enter(self, job_id: str, *, sequence: int) -> JobRecord:
        return self.store.records.add(
            JobRecord(id=job_id, owner=OWNER, state=JobState.QUEUED, sequence=sequence, created_at=self.now, updated_at=self.now)
        )

    def requeue_lost(self) -> None:
        """As the store does whenever it looks for work."""
        for model in self.models.values():
            if model.state is JobState.RUNNING and model.until <= self.now:
                model.holder = None
                model.become(JobState.QUEUED)

    def holds(self, lease: Lease) -> bool:
        model = self.models.get(lease.job_id)
        return model is not None and model.state is JobState.RUNNING and model.holder == lease.fence

    @invariant()
    def agrees_with_the_model(self) -> None:
        self.requeue_lost()
        free = sorted(job_id for job_id, model in self.models.items() if model.state is JobState.QUEUED)
        assert self.store.leases.orphans() == free
        for job_id, model in self.models.items():
            record = self.store.records.get(OWNER, job_id)
            assert (record.state, record.attempt, record.cancel_requested) == (model.state, model.attempts, model.canceled)
            assert record.sequence >= self.sequences.get(job_id, 0)
            self.sequences[job_id] = record.sequence

    @invariant()
    def only_allowed_transitions_were_seen(self) -> None:
        for model in self.models.values():
            for before, after in zip(model.seen, model.seen[1:], strict=False):
                assert after in TRANSITIONS[before]


def test_no_walk_leads_a_store_away_from_the_model(case: StoreCase) -> None:
    run_state_machine_as_test(
        lambda: JobStoreWalk(case),
        settings=settings(
            max_examples=40,
            stateful_step_count=30,
            deadline=None,
            database=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
