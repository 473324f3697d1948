"""Several attempts at a time over one model, each in a thread and a session of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from s2edit_core.concepts.conditioning import prompt_keys_values, text_states, tokenize, word_embedding
from s2edit_core.errors import NumbersNotFinite
from s2edit_core.request.spec import PLACEHOLDER, EditRequest, MaskRequest
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Answers, Row, Rows
from s2edit_core.vision.segmenters import BaseModelSegmenter
from tests.unit.core.engine.runs import HAT, INPUTS, LEARNING, REQUEST, Run
from worker.engines.cores import LEAST_S, CpuThreads
from worker.engines.engine import Engine
from worker.engines.guarded import GuardedEngine
from worker.engines.s2edit_engine import S2EditEngine
from worker.engines.shared_passes import SharedPasses

PATIENCE_S = 120.0
PROMPTS = [
    "a photo of a woman with red hair",
    "a photo of a smiling woman",
    "a photo of an old woman",
    "a photo of a woman with glasses",
]


class Canceled(Exception):
    pass


@pytest.fixture
def shared(engine: S2EditEngine, backbone: Backbone) -> Iterator[S2EditEngine]:
    made = S2EditEngine("tiny", device="cpu", jobs=4)
    yield made
    made.close()


def at_once(engine: Engine, *jobs: Callable[[Engine], object]) -> list[object]:
    """Run `jobs` at the same time, each in a session of another owner, and return their results or errors."""
    ready = threading.Barrier(len(jobs))

    def run(number: int) -> object:
        ready.wait(PATIENCE_S)
        with engine.session(f"owner {number}") as session:
            try:
                return jobs[number](session)
            except Exception as error:
                return error

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, range(len(jobs)), timeout=PATIENCE_S))


def edit(request: EditRequest) -> Callable[[Engine], Run]:
    return lambda engine: Run(engine, request)


def test_concurrent_cold_edits_give_what_each_gives_alone(engine: S2EditEngine, shared: S2EditEngine) -> None:
    """Learning, inverting and editing for four people at a time, in shared passes.

    Sums are rounded in another order in larger passes, so the pictures may differ by single levels.
    """
    requests = [replace(REQUEST, prompt=prompt, seed=i) for i, prompt in enumerate(PROMPTS)]
    together = at_once(shared, *(edit(request) for request in requests))
    for request, run in zip(requests, together, strict=True):
        assert isinstance(run, Run), run
        alone = Run(engine, request)
        assert run.made.keys() == alone.made.keys()
        assert {kind: made.id for kind, made in run.made.items()} == {kind: made.id for kind, made in alone.made.items()}
        assert np.abs(run.pixels().astype(int) - alone.pixels()).max() <= 2
        assert run.edited.report["unet_evaluations"] == alone.edited.report["unet_evaluations"]
    stats = shared._passes.stats()
    assert max(stats.rows_per_pass) >= 6, "passes were shared"
    assert set(stats.rows) == {"learning", "inverting", "editing"}


def test_one_edit_gives_the_same_bytes_as_without_sessions(shared: S2EditEngine, cold: Run) -> None:
    (run,) = at_once(shared, edit(REQUEST))
    assert isinstance(run, Run), run
    assert run.edited.picture == cold.edited.picture
    assert run.made["concept"].data == cold.made["concept"].data


def test_a_canceled_edit_leaves_alone(shared: S2EditEngine, cold: Run) -> None:
    count = 0

    def cancels(*, advanced: bool = True) -> None:
        nonlocal count
        count += 1
        if count > 3:
            raise Canceled

    def canceled(engine: Engine) -> None:
        for _ in engine.edit(replace(REQUEST, prompt=PROMPTS[1]), INPUTS, concept=None, inversion=None, check=cancels):
            pass

    stopped, run = at_once(shared, canceled, edit(REQUEST))
    assert isinstance(stopped, Canceled)
    assert isinstance(run, Run), run
    assert np.abs(run.pixels().astype(int) - cold.pixels()).max() <= 2


def test_numbers_that_are_not_finite_fail_only_their_job(
    shared: S2EditEngine, backbone: Backbone, cold: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One job's rows are made NaN on their way to the UNet: a real pass over them and its companions' rows."""
    real, sick = backbone.evaluate, replace(REQUEST, seed=77)
    bad_thread: list[int] = []

    def spoiled(session: Engine) -> Run:
        assert isinstance(session, S2EditEngine)
        evaluate = session.pipeline._evaluate_stage

        def with_nan(rows: Rows, stage: object) -> Answers:
            bad_thread.append(len(rows))
            return evaluate(tuple(replace(row, latent=row.latent * torch.nan) for row in rows), stage)  # type: ignore[arg-type]

        session.pipeline._evaluate_stage = with_nan
        return Run(session, sick)

    failed, run = at_once(shared, spoiled, edit(REQUEST))
    assert isinstance(failed, NumbersNotFinite)
    assert bad_thread
    assert isinstance(run, Run), run
    assert np.abs(run.pixels().astype(int) - cold.pixels()).max() <= 2
    assert backbone.evaluate == real


def test_learning_an_attribute_and_an_identity_and_finding_a_mask_run_beside_each_other(shared: S2EditEngine) -> None:
    shared.segmenter = BaseModelSegmenter(shared.pipeline)

    def learns(request: object) -> Callable[[Engine], object]:
        return lambda engine: [step for step in engine.learn(request, INPUTS)]  # type: ignore[arg-type]

    def finds(engine: Engine) -> object:
        return [step for step in engine.find_mask(MaskRequest(prompt="a woman"), INPUTS.image)]

    for result in at_once(shared, learns(HAT), learns(LEARNING), finds, finds):
        assert isinstance(result, list), result


def test_sessions_of_wrapped_engines_share_passes_too(shared: S2EditEngine, cold: Run) -> None:
    run, other = at_once(GuardedEngine(shared), edit(REQUEST), edit(REQUEST))
    assert isinstance(run, Run), run
    assert isinstance(other, Run), other
    assert np.abs(run.pixels().astype(int) - cold.pixels()).max() <= 2


def test_the_photo_of_one_session_is_not_used_by_another(shared: S2EditEngine) -> None:
    with shared.session("ann") as ann, shared.session("bob") as bob:
        ann.plan(REQUEST, INPUTS)
        assert ann._planned is not None
        assert bob._planned is None
        assert shared._planned is None


def test_threads_encode_prompts_with_their_own_embeddings(backbone: Backbone) -> None:
    """The text encoder is shared: another thread's token must never enter this thread's prompt."""
    tokens = tokenize(backbone, "a photo of a [I] woman", (PLACEHOLDER,))
    base = word_embedding(backbone, "woman")
    embeddings = [base + 0.1 * i for i in range(8)]
    alone = [text_states(backbone, tokens, {PLACEHOLDER: each}) for each in embeddings]

    def encode(i: int) -> bool:
        own = tokenize(backbone, "a photo of a [I] woman", (PLACEHOLDER,))
        return all(torch.equal(text_states(backbone, own, {PLACEHOLDER: embeddings[i]}), alone[i]) for _ in range(50))

    with torch.no_grad(), ThreadPoolExecutor(8) as pool:
        assert all(pool.map(encode, range(8)))


def test_on_a_cpu_the_auto_encoder_runs_between_passes_with_the_threads_of_the_device(
    shared: S2EditEngine, cold: Run, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    where: list[tuple[str, str]] = []
    for name in ("encode_image", "decode_latent"):
        real = getattr(backbone, name)

        def traced(tensor: torch.Tensor, name: str = name, real: Callable[..., torch.Tensor] = real) -> torch.Tensor:
            where.append((name, threading.current_thread().name))
            return real(tensor)

        monkeypatch.setattr(backbone, name, traced)
    (run,) = at_once(shared, edit(REQUEST))
    assert isinstance(run, Run), run
    assert run.edited.picture == cold.edited.picture
    assert {name for name, _ in where} == {"encode_image", "decode_latent"}
    assert {thread for _, thread in where} == {"device"}


class Threads(CpuThreads):
    """Finds other cores free when each session begins."""

    def __init__(self, *counts: int) -> None:
        super().__init__(most=1)
        self.counts = iter(counts)

    def choose(self, least_s: float = LEAST_S) -> None:
        if least_s == LEAST_S:
            self.count = next(self.counts)


def test_sessions_divide_the_threads_of_idle_cores_and_the_device_uses_all(backbone: Backbone) -> None:
    of_device: list[int] = []
    together = threading.Barrier(4)

    def evaluate(rows: Rows) -> Answers:
        of_device.append(torch.get_num_threads())
        return backbone.evaluate(rows)

    passes = SharedPasses(evaluate, max_rows=16, jobs=4, threads=Threads(*[8] * 4, *[4] * 4))
    row = Row(torch.zeros(4, 8, 8), 1, prompt_keys_values(backbone, "", {}))

    def share(owner: int) -> int:
        with passes.client(str(owner)) as client:
            client.compute(lambda: of_device.append(torch.get_num_threads()))
            client.evaluate((row,), "editing")
            together.wait(PATIENCE_S)
            return torch.get_num_threads()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(share, range(4))) == [2] * 4
        assert set(of_device) == {8}
        of_device.clear()
        assert list(pool.map(share, range(4))) == [1] * 4, "chosen anew"
    passes.close()
    assert set(of_device) == {4}
