"""The whole training in miniature: every stage as a process, resumed, and its results as an archive that loads."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline

from lab.judges.attributes import load_judge
from lab.judges.identities import load_regressor
from lab.training import train
from lab.training.autoencoder import encoder_digest
from lab.training.export import PART_BYTES, describe, pack
from s2edit_core.base_model.model_card import ModelCard
from s2edit_core.request.domains import Domain
from s2edit_core.vision.segmenters import CardNetwork
from tests.unit.lab.training.forked import run
from tests.unit.lab.training.portrait_domain import DOMAIN

MINIATURE = [
    *("--domain", "tests.unit.lab.training.portrait_domain:8:1", "--workers", "1", "--device", "cpu", "--latent-channels", "4"),
    *(
        "--render-seconds",
        "20",
        "--masked-seconds",
        "20",
        "--vae-seconds",
        "2",
        "--denoiser-seconds",
        "2",
        "--judge-seconds",
        "1",
        "--segmenter-seconds",
        "1",
    ),
    "--vae-options=--batch 2 --widths 8 8 8",
    "--denoiser-options=--batch 2 --widths 16 16 16 16 --sample-steps 2",
    "--small-options=--batch 2",
    "--stage-options=--log-every 0.5",
]


def unpacked(out: Path, folder: Path) -> Path:
    data = b"".join(path.read_bytes() for path in sorted(out.glob("world.tar.*")))
    assert json.loads((out / "manifest.json").read_text())["sha256"] == hashlib.sha256(data).hexdigest()
    folder.mkdir()
    (folder / "world.tar").write_bytes(data)
    with tarfile.open(folder / "world.tar") as archive:
        archive.extractall(folder, filter="data")
    return folder / "result"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a driver that was started twice: at first without the denoiser."""
    folder = tmp_path_factory.mktemp("trained")
    arguments = [*MINIATURE, "--work", str(folder / "work"), "--out", str(folder / "out")]
    for number, more in enumerate((["--denoiser-seconds", "0"], [])):
        log = folder / f"log-{number}"
        assert run(["lab.training.train", *arguments, *more], log) == 0, log.read_text()[-6000:]
    assert "[autoencoder]" not in log.read_text(), "a finished stage is not repeated"
    return folder


def test_the_archive_is_a_model_that_draws(trained: Path, tmp_path: Path) -> None:
    result = unpacked(trained / "out", tmp_path / "unpacked")
    pipeline = StableDiffusionPipeline.from_pretrained(result / "world-128", safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    (image,) = pipeline("a photo of a woman", num_inference_steps=2, generator=torch.Generator().manual_seed(0)).images
    assert image.size == (128, 128)
    assert "portrait" in (result / "world-128" / "README.md").read_text()
    card = ModelCard.read(result / "world-128")
    assert card.domains == (Domain(DOMAIN.subjects, DOMAIN.word_bank, placement=DOMAIN.placement, closed_vocabulary=True),)
    assert CardNetwork(result / "world-128" / "segmenter").name == "card"
    assert load_judge(result / "judges" / "attributes.safetensors").accuracy["portrait"].keys() == {"gender", "glasses", "hat"}
    assert load_regressor(result / "judges" / "identities.safetensors").names["portrait"] == ("skin", "jaw")


def test_a_decoder_that_is_trained_on_leaves_the_latents_alone(trained: Path, tmp_path: Path) -> None:
    work = shutil.copytree(trained / "work", tmp_path / "work")
    before = AutoencoderKL.from_pretrained(work / "vae")
    stage = ["lab.training.autoencoder", "--work", str(work), *MINIATURE[:2], "--device", "cpu", "--batch", "2"]
    assert run([*stage, "--decoder-only", "--seconds", "1"], tmp_path / "log") == 0, (tmp_path / "log").read_text()[-6000:]
    after = AutoencoderKL.from_pretrained(work / "vae")
    assert encoder_digest(after) == encoder_digest(before)
    assert not torch.equal(after.decoder.conv_out.weight, before.decoder.conv_out.weight)
    (latents,) = (work / "latents").iterdir()
    assert latents.name.startswith(encoder_digest(after)), "the latents that the denoiser keeps stay valid"


def test_the_results_have_sheets_and_logs(trained: Path) -> None:
    assert {path.name for path in (trained / "out").iterdir()} == {
        *("manifest.json", "reconstructions.png", "samples.png", "training.json", "world.tar.00")
    }
    written = json.loads((trained / "out" / "training.json").read_text())
    assert written["logs"]["denoiser"]["log"][-1]["mse"] > 0
    stage = written["facts"]["stages"]["denoiser"]
    assert stage["code"] == 0
    last = written["logs"]["denoiser"]["log"][-1]
    assert (stage["steps"], stage["seconds"]) == (round(last["step"]), round(last["seconds"]))


def test_the_models_readme_counts_the_seconds_of_every_start(tmp_path: Path) -> None:
    (tmp_path / "world-128").mkdir()
    stages = {"denoiser": {"wall_seconds": 756, "seconds": 857, "steps": 6253, "last": "loss 0.2"}, "render": {"wall_seconds": 12}}
    describe(tmp_path, {"machine": "here", "torch": "2", "stages": stages})
    rows = (tmp_path / "world-128" / "README.md").read_text().splitlines()
    assert {"| denoiser | 857 | 6253 | loss 0.2 |", "| render | 12 |  |  |"} <= set(rows)


def test_stages_end_within_their_budget(trained: Path) -> None:
    logs = json.loads((trained / "out" / "training.json").read_text())["logs"]
    for name, budget in (("autoencoder", 2), ("denoiser", 2), ("attributes", 1), ("segmenter", 1)):
        for entry in logs.get(name, {"log": []})["log"]:
            assert entry["seconds"] <= budget + 3, name


def test_a_large_result_is_split(tmp_path: Path) -> None:
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / "weights").write_bytes(os.urandom(2 * PART_BYTES + 5))
    pack(tmp_path / "result", tmp_path / "out")
    assert [path.stat().st_size <= PART_BYTES for path in sorted((tmp_path / "out").glob("world.tar.*"))] == [True] * 3
    assert (unpacked(tmp_path / "out", tmp_path / "there") / "weights").stat().st_size == 2 * PART_BYTES + 5


def test_a_failing_stage_is_tried_twice_and_spares_the_others(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = [train.Stage(name, f"stages.{name}", 1, [], after) for name, after in (("broken", ()), ("sound", ("broken",)))]
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "broken.py").write_text("raise SystemExit(3)")
    (tmp_path / "stages" / "sound.py").write_text("import sys; print(sys.argv)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(train, "stages_of", lambda _wanted: stages)
    wanted = train.options_of([*MINIATURE, "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")])
    assert not train.Driver(wanted).run()
    assert [stage.facts["code"] for stage in stages] == [3, 0]
    assert [stage.attempts for stage in stages] == [2, 1]
    printed = capfd.readouterr().out
    assert printed.count("--no-compile") == 1, "the second attempt does without compilation"
    assert [path.name for path in (tmp_path / "work" / "finished").iterdir()] == ["sound"]
    assert json.loads((tmp_path / "out" / "training.json").read_text())["facts"]["stages"]["broken"]["code"] == 3
