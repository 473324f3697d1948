"""What a model's files tell without loading them, and models of the hub."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from s2edit_core.base_model.model_files import HubModel, ModelFolder, find_model
from s2edit_core.errors import ModelUnusable
from s2edit_core.unet.backbone import Backbone
from tests.tiny import save_tiny


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("models") / "whole")


def edited(path: str, **changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        values = json.loads((folder / path).read_text())
        (folder / path).write_text(json.dumps({**values, **changes}))

    return change


def cut(path: str, size: int) -> Callable[[Path], None]:
    return lambda folder: (folder / path).write_bytes((folder / path).read_bytes()[:size])


def written(path: str, data: bytes) -> Callable[[Path], None]:
    return lambda folder: _ignore((folder / path).write_bytes(data))


def _ignore(_: object) -> None:
    return None


WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "no weights": (lambda folder: (folder / WEIGHTS).unlink(), "no weights in unet/"),
    "an unknown variant": (
        lambda folder: _ignore((folder / WEIGHTS).rename(folder / "unet" / "diffusion_pytorch_model.non_ema.safetensors")),
        "no weights in unet/ with a known name, only diffusion_pytorch_model.non_ema.safetensors",
    ),
    "cut off": (cut(WEIGHTS, 50_000), "bytes instead of"),
    "cut off in the header": (cut(WEIGHTS, 100), "not a whole safetensors file"),
    "empty": (cut(WEIGHTS, 0), "not a whole safetensors file"),
    "a pointer of Git LFS": (written(WEIGHTS, b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n"), "git lfs pull"),
    "no configuration": (lambda folder: (folder / "vae" / "config.json").unlink(), "no config.json in vae/"),
    "a configuration that is no JSON": (written("unet/config.json", b"{"), "unet/config.json can't be read"),
    "no scheduler": (lambda folder: shutil.rmtree(folder / "scheduler"), "no scheduler_config.json in scheduler/"),
    "no tokenizer": (lambda folder: shutil.rmtree(folder / "tokenizer"), "no tokenizer.json"),
    "inpainting": (edited("unet/config.json", in_channels=9), "takes 9 channels"),
    "XL": (edited("unet/config.json", addition_embed_type="text_time"), "addition_embed_type 'text_time'"),
    "another network": (edited("unet/config.json", _class_name="SD3Transformer2DModel"), "SD3Transformer2DModel"),
    "another text encoder": (edited("text_encoder/config.json", model_type="t5"), "is a t5"),
    "parts of two models": (edited("unet/config.json", cross_attention_dim=24), "of different models"),
    "a sampler of another kind": (
        edited("scheduler/scheduler_config.json", _class_name="FlowMatchEulerDiscreteScheduler"),
        "FlowMatchEulerDiscreteScheduler",
    ),
    "clip_sample": (edited("scheduler/scheduler_config.json", clip_sample=True), "clip_sample"),
    "thresholding": (edited("scheduler/scheduler_config.json", thresholding=True), "thresholding"),
    "sample": (edited("scheduler/scheduler_config.json", prediction_type="sample"), "prediction_type 'sample'"),
    "a spacing": (edited("scheduler/scheduler_config.json", timestep_spacing="karras"), "timestep_spacing 'karras'"),
    "betas": (edited("scheduler/scheduler_config.json", beta_schedule="sigmoid"), "beta_schedule 'sigmoid'"),
    "zero SNR of ε": (edited("scheduler/scheduler_config.json", rescale_betas_zero_snr=True), "rescale_betas_zero_snr"),
    "a card": (written("s2edit.json", b"[]"), "its card s2edit.json can't be read"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_what_cannot_be_loaded_is_told_before_and_by_loading_alike(fault: str, whole: Path, tmp_path: Path) -> None:
    change, words = BROKEN[fault]
    folder = tmp_path / "model"
    shutil.copytree(whole, folder)
    assert isinstance(find_model(str(folder)), ModelFolder)
    change(folder)
    with pytest.raises(ModelUnusable, match=words) as told:
        find_model(str(folder))
    with pytest.raises(ModelUnusable) as by_loading:
        Backbone.from_pretrained(str(folder))
    assert str(told.value) == str(by_loading.value)
    assert "'model'" in str(told.value)


def test_all_that_is_missing_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match=r"unet/.*vae/.*text_encoder/.*scheduler/.*tokenizer/"):
        find_model(str(tmp_path))


def test_shards_are_followed(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(whole, folder)
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel.from_pretrained(folder / "unet")
    shutil.rmtree(folder / "unet")
    unet.save_pretrained(folder / "unet", max_shard_size="100KB")
    shards = sorted((folder / "unet").glob("*-of-*.safetensors"))
    assert len(shards) > 1
    assert Backbone.from_pretrained(str(folder)).fingerprint == Backbone.from_pretrained(str(whole)).fingerprint
    shards[-1].unlink()
    with pytest.raises(ModelUnusable, match=f"no {shards[-1].name} in unet/"):
        find_model(str(folder))


def test_an_api_may_have_the_words_alone(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(whole / "tokenizer", folder / "tokenizer")
    find_model(str(folder), weights=False)
    with pytest.raises(ModelUnusable, match="no weights"):
        find_model(str(folder))
    shutil.copytree(whole / "unet", folder / "unet")
    with pytest.raises(ModelUnusable, match="no weights in vae/"):
        find_model(str(folder), weights=False)


def test_names_of_the_hub(tmp_path: Path) -> None:
    assert find_model("CompVis/stable-diffusion-v1-4") == HubModel("CompVis/stable-diffusion-v1-4", None)
    assert find_model("owner/name@refs/pr/3") == HubModel("owner/name", "refs/pr/3")
    for name in ("nowhere", "models/sd.safetensors", "/a/b/c", "owner/name@"):
        with pytest.raises(ModelUnusable, match="there is no folder or file"):
            find_model(name)
    (tmp_path / "sd.txt").write_text("")
    with pytest.raises(ModelUnusable, match="ends in"):
        find_model(str(tmp_path / "sd.txt"))


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    for name, data in (("a.safetensors", b"x" * 50), ("b.ckpt", b"x" * 50), ("c.ckpt", b"version https://git-lfs")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ModelUnusable, match=f"{name}' can't be loaded"):
            find_model(str(tmp_path / name))


@pytest.fixture
def hub(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None, Any]]:
    """A hub with one repository of every variant; the calls that it gets."""
    import huggingface_hub

    calls: list[tuple[str, str | None, Any]] = []
    names = [str(path.relative_to(whole)) for path in whole.rglob("*") if path.is_file()]
    names += ["README.md", "unet/diffusion_pytorch_model.fp16.safetensors", "unet/diffusion_pytorch_model.bin", "v1.ckpt"]

    class Api:
        def list_repo_files(self, repo: str, revision: str | None = None) -> list[str]:
            if revision == "gone":
                raise OSError("Revision not found")
            return names

    def snapshot(repo: str, *, revision: str | None = None, allow_patterns: Any = None, local_files_only: bool = False) -> str:
        calls.append((repo, revision, "cache" if local_files_only else allow_patterns))
        if revision == "gone":
            raise FileNotFoundError("not in the cache")
        return str(whole)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    return calls


def test_of_a_hub_model_one_variant_is_fetched_at_its_revision(hub: list[tuple[str, str | None, Any]], whole: Path) -> None:
    backbone = Backbone.from_pretrained("owner/name@v1.0")
    assert backbone.fingerprint == Backbone.from_pretrained(str(whole)).fingerprint
    ((repo, revision, wanted),) = hub
    assert (repo, revision) == ("owner/name", "v1.0")
    assert {name for name in wanted if name.startswith("unet/")} == {"unet/config.json", WEIGHTS}
    assert "v1.ckpt" not in wanted


def test_a_hub_model_that_cannot_be_had_is_one_clear_error(hub: list[tuple[str, str | None, Any]]) -> None:
    with pytest.raises(ModelUnusable, match=r"'owner/name@gone' .* Revision not found"):
        Backbone.from_pretrained("owner/name@gone")
    assert hub == [("owner/name", "gone", "cache")]
