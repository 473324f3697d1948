"""Models as people have them: what is on disk loads, or is refused with the reason."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from s2edit_core.checkpoints import single_file_layout
from s2edit_core.checkpoints.clip_words import clip_words
from s2edit_core.checkpoints.model_files import HubModel, ModelFolder, find_model
from s2edit_core.errors import ModelUnusable
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.spec import InversionOptions, LearningOptions
from s2edit_core.unet.backbone import Backbone
from tests.single_files import original_tensors, save_configs, save_single
from tests.tiny import save_tiny, tiny_parts

SCHEDULER = {
    "_class_name": "DDIMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "steps_offset": 1,
}


def runs(backbone: Backbone) -> None:
    """Learn for a step, invert and edit in two: everything of the model takes part."""
    pipe = S2EditPipeline(backbone)
    photo = Image.radial_gradient("L").resize((32, 32)).convert("RGB")
    mask = Image.new("L", (32, 32))
    mask.paste(255, (4, 4, 28, 30))
    options = LearningOptions(start_steps=1, token_steps=1, joint_steps=1, batch=2)
    identity = pipe.learn(photo, mask, "a photo of a woman", options=options)
    inversion = pipe.invert(photo, mask, concept=identity, options=InversionOptions(tier="residual"), num_inference_steps=2)
    done = pipe("a photo of a [I] woman with red hair", image=photo, mask=mask, identity=identity, inversion=inversion)
    assert torch.isfinite(done.latents).all()


FOLDERS: dict[str, dict[str, Any]] = {
    "float32": {},
    "bin": {"pickled": True},
    "fp16 variant": {"dtype": torch.float16, "variant": "fp16"},
    "fp16 variant as bin": {"dtype": torch.float16, "variant": "fp16", "pickled": True},
    "bf16 variant": {"dtype": torch.bfloat16, "variant": "bf16"},
    "v-prediction": {"scheduler": {"prediction_type": "v_prediction"}},
    "zero SNR": {
        "scheduler": {
            "prediction_type": "v_prediction",
            "rescale_betas_zero_snr": True,
            "timestep_spacing": "trailing",
            "set_alpha_to_one": True,
        }
    },
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_folder_loads_and_runs(kind: str, tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "model", **FOLDERS[kind])
    backbone = Backbone.from_pretrained(str(folder))
    assert backbone.dtype == torch.float32
    runs(backbone)


def test_the_fingerprint_is_that_of_the_content(tmp_path: Path) -> None:
    """Not of its names, its files or its precision."""
    whole = Backbone.from_pretrained(str(save_tiny(tmp_path / "float32")))
    for kind in ("bin", "fp16 variant", "fp16 variant as bin"):
        assert Backbone.from_pretrained(str(save_tiny(tmp_path / kind, **FOLDERS[kind]))).fingerprint == whole.fingerprint, kind
    for dtype in (torch.float16, torch.bfloat16):
        half = Backbone.from_pretrained(str(tmp_path / "float32"), dtype=dtype)
        assert half.dtype == dtype
        assert (half.fingerprints.current, half.fingerprints.legacy) == (whole.fingerprint, whole.fingerprints.legacy)
    for other in ({"seed": 1}, FOLDERS["v-prediction"], {"scheduler": {"timestep_spacing": "trailing"}}):
        path = tmp_path / "other"
        shutil.rmtree(path, ignore_errors=True)
        assert Backbone.from_pretrained(str(save_tiny(path, **other))).fingerprint != whole.fingerprint, other


def test_full_precision_goes_before_a_variant_and_safetensors_before_a_pickle(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "model", pickled=True)
    save_tiny(tmp_path / "half", dtype=torch.float16, variant="fp16")
    for file in (tmp_path / "half").rglob("*.fp16.safetensors"):
        shutil.copy(file, folder / file.relative_to(tmp_path / "half"))
    found = find_model(str(folder))
    assert isinstance(found, ModelFolder)
    assert {part: weights.name for part, weights in found.weights.items()} == {
        "unet": "diffusion_pytorch_model.bin",
        "vae": "diffusion_pytorch_model.bin",
        "text_encoder": "pytorch_model.bin",
    }
    (folder / "unet" / "diffusion_pytorch_model.bin").unlink()
    found = find_model(str(folder))
    assert isinstance(found, ModelFolder)
    assert found.weights["unet"].name == "diffusion_pytorch_model.fp16.safetensors"


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("sprung"),)


def test_a_pickle_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = save_tiny(tmp_path / "model", pickled=True)
    for path in (folder / "unet" / "diffusion_pytorch_model.bin", tmp_path / "model.ckpt"):
        torch.save({"state_dict": {}, "callbacks": Trap()}, path)
    for model in (folder, tmp_path / "model.ckpt"):
        with pytest.raises(ModelUnusable, match="can't be loaded"):
            Backbone.from_pretrained(str(model))
    assert not (tmp_path / "sprung").exists()
    with pytest.raises(pickle.UnpicklingError):  # what the trap would be refused for
        torch.load(tmp_path / "model.ckpt", weights_only=True)


# --- one file ----------------------------------------------------------------------------------------------------


def small(family: str) -> dict[str, Any]:
    """A small model with CLIP's vocabulary; of `sd2` as its UNet and text encoder differ."""
    from transformers import CLIPTextConfig, CLIPTextModel

    parts = tiny_parts(3)
    changed = {"hidden_act": "gelu" if family == "sd2" else "quick_gelu", "vocab_size": 49_408, "max_position_embeddings": 77}
    special = {"bos_token_id": 49_406, "eos_token_id": 49_407}
    config = {**parts["text_encoder"].config.to_dict(), **changed, **special, "architectures": ["CLIPTextModel"]}
    parts["text_encoder"] = CLIPTextModel(CLIPTextConfig(**config))
    if family == "sd2":
        parts["unet"] = type(parts["unet"]).from_config({**parts["unet"].config, "use_linear_projection": True})
    return parts


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Path, Mapping[str, Any]]]:
    """Writes a small model as one file, whose family has small configurations for the time of the test."""
    shutil.copytree(single_file_layout.CONFIGS, tmp_path / "configs", dirs_exist_ok=True)
    monkeypatch.setattr(single_file_layout, "CONFIGS", tmp_path / "configs")
    kinds = [(family, prediction) for family in ("sd1", "sd2") for prediction in ("epsilon", "v_prediction")]
    monkeypatch.setattr(single_file_layout, "FRAMES", dict.fromkeys(kinds, 8))

    def write(family: str, name: str, metadata: Mapping[str, str] | None = None, **markers: torch.Tensor) -> Any:
        parts = small(family)
        index = (tmp_path / "configs" / family / "model_index.json").read_text()
        shutil.rmtree(tmp_path / "configs" / family)
        save_configs(tmp_path / "configs" / family, parts, SCHEDULER)
        (tmp_path / "configs" / family / "model_index.json").write_text(index)
        tensors = original_tensors(parts["unet"], parts["vae"], parts["text_encoder"], family)
        return save_single(tmp_path / name, {**tensors, **markers}, metadata), parts

    return write


def same_weights(backbone: Backbone, parts: Mapping[str, Any]) -> None:
    for name in ("unet", "vae", "text_encoder"):
        mine, theirs = getattr(backbone, name).state_dict(), parts[name].state_dict()
        assert mine.keys() == theirs.keys()
        for key, tensor in theirs.items():
            torch.testing.assert_close(mine[key], tensor, rtol=0, atol=0, msg=f"{name}.{key}")


@pytest.mark.parametrize("name", ["model.safetensors", "model.ckpt"])
@pytest.mark.parametrize("family", ["sd1", "sd2"])
def test_one_file_loads_offline_and_runs(
    family: str, name: str, checkpoint: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("nothing may be fetched"))
    path, parts = checkpoint(family, name)
    (tmp_path / "model.s2edit.json").write_text(json.dumps({"prediction_type": "epsilon", "guidance_scale": 5}))
    backbone = Backbone.from_pretrained(str(path))
    same_weights(backbone, parts)
    assert backbone.schedule.prediction == "epsilon"
    assert backbone.card.guidance_scale == 5.0
    assert backbone.tokenizer("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert backbone.tokenizer.pad_token_id == (0 if family == "sd2" else 49407)
    runs(backbone)


def test_one_file_has_the_fingerprint_of_its_folder(checkpoint: Callable[..., Any], tmp_path: Path) -> None:
    path, parts = checkpoint("sd1", "model.safetensors")
    for name in ("unet", "vae", "text_encoder"):
        parts[name].save_pretrained(tmp_path / "folder" / name)
    shutil.copytree(tmp_path / "configs" / "sd1" / "scheduler", tmp_path / "folder" / "scheduler")
    Backbone.from_pretrained(str(path)).tokenizer.save_pretrained(tmp_path / "folder" / "tokenizer")
    folder = Backbone.from_pretrained(str(tmp_path / "folder"))
    assert Backbone.from_pretrained(str(path)).fingerprint == folder.fingerprint


@pytest.mark.parametrize(
    ("beside", "inside"),
    [
        ({"model.s2edit.json": '{"prediction_type": "v_prediction"}'}, {}),
        ({"model.yaml": 'model:\n  params:\n    parameterization: "v"\n'}, {}),
        ({}, {"metadata": {"modelspec.prediction_type": "v"}}),
        ({}, {"v_pred": torch.zeros(1)}),
    ],
    ids=["card", "original configuration", "metadata", "marker"],
)
def test_what_a_file_predicts_is_said_beside_it_or_inside(
    beside: Mapping[str, str], inside: Mapping[str, Any], checkpoint: Callable[..., Any], tmp_path: Path
) -> None:
    path, _ = checkpoint("sd2", "model.safetensors", **inside)
    for name, text in beside.items():
        (tmp_path / name).write_text(text)
    assert Backbone.from_pretrained(str(path)).schedule.prediction == "v_prediction"


def test_a_file_of_sd2_that_does_not_say_what_it_predicts_is_refused(checkpoint: Callable[..., Any]) -> None:
    for name in ("model.safetensors", "model.ckpt"):
        path, _ = checkpoint("sd2", name)
        with pytest.raises(ModelUnusable, match=r'put model.s2edit.json beside it with {"prediction_type": "v_prediction"}'):
            Backbone.from_pretrained(str(path))


def test_a_marker_asks_for_zero_snr(checkpoint: Callable[..., Any]) -> None:
    path, _ = checkpoint("sd2", "model.safetensors", v_pred=torch.zeros(1), ztsnr=torch.zeros(1))
    schedule = Backbone.from_pretrained(str(path)).schedule
    assert schedule.alpha(999) == 2**-24
    path, _ = checkpoint("sd1", "other.safetensors", ztsnr=torch.zeros(1))
    with pytest.raises(ModelUnusable, match="rescale_betas_zero_snr"):
        Backbone.from_pretrained(str(path))


def without(prefix: str) -> Callable[[dict[str, torch.Tensor]], None]:
    def remove(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if name.startswith(prefix)]:
            del tensors[name]

    return remove


BLOCK = "model.diffusion_model.middle_block.0.in_layers.2.weight"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without("model.diffusion_model."), "it holds no UNet"),
        (without("first_stage_model."), "it holds no auto-encoder"),
        (without("cond_stage_model."), "it holds no text encoder"),
        (without(BLOCK), "lacks tensors of its UNet"),
        (without("cond_stage_model.transformer.text_model.final_layer_norm.weight"), "lacks 1 tensors of the text_encoder"),
        (lambda tensors: tensors.update({"conditioner.embedders.0.x": torch.zeros(1)}), "Stable Diffusion XL"),
        (
            lambda tensors: tensors.update({"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(16, 9, 3, 3)}),
            "takes 9 channels: inpainting",
        ),
        (lambda tensors: tensors.update({BLOCK: torch.zeros(3, 3)}), "shape"),
    ],
    ids=["no UNet", "no auto-encoder", "no text encoder", "a tensor missing", "another", "XL", "inpainting", "another shape"],
)
@pytest.mark.parametrize("ending", ["safetensors", "ckpt"])
def test_a_file_that_is_no_whole_model_is_refused_by_name(
    change: Callable[[dict[str, torch.Tensor]], None], words: str, ending: str, checkpoint: Callable[..., Any], tmp_path: Path
) -> None:
    _, parts = checkpoint("sd1", "whole.safetensors")
    tensors = original_tensors(parts["unet"], parts["vae"], parts["text_encoder"], "sd1")
    change(tensors)
    with pytest.raises(ModelUnusable, match=words):
        Backbone.from_pretrained(str(save_single(tmp_path / f"model.{ending}", tensors)))


def test_the_vocabulary_is_clips_own() -> None:
    """Numbers that openai/CLIP's tokenizer gives."""
    vocabulary, merges = clip_words()
    assert (len(vocabulary), len(merges)) == (49_408, 48_894)
    assert merges[:2] == [("i", "n"), ("t", "h")]
    known = {"!": 0, "a</w>": 320, "of</w>": 539, "photo</w>": 1125, "woman</w>": 2308, "cat</w>": 2368, "<|endoftext|>": 49_407}
    assert {token: vocabulary[token] for token in known} == known


# --- told without loading ----------------------------------------------------------------------------------------


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
        "no weights in unet/ that are read here, only diffusion_pytorch_model.non_ema.safetensors",
    ),
    "cut off": (cut(WEIGHTS, 50_000), "bytes long and should be"),
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
    "parts of two models": (edited("unet/config.json", cross_attention_dim=24), "parts of two models"),
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


# --- the hub -----------------------------------------------------------------------------------------------------


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
