"""Measure a worker on the CPU: how long it takes to start, and which precision is fastest: `python -m lab.service.cpu`.

- `start`: a worker process with the shipped model, from its first instruction to its log line `worker_ready`, several times. In
  seconds of CPU, because other work on this machine makes the clock's seconds grow, and in seconds of the clock. Packages that only
  a development environment has (peft, SciPy) are hidden, because diffusers and transformers import them where they find them.
- `parts`: CPU seconds of the parts of a start, in another process, with garbage collection as usual.
- `passes`: CPU seconds of one UNet pass of the shipped model on one thread, for one row and for eight, in fp32 and in bf16.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch

from lab.measures.results import dumped, machine
from s2edit_core.base_model.model_files import SHIPPED_MODEL
from s2edit_core.concepts.conditioning import prompt_keys_values
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Row
from s2edit_jobs.stores.embedded_redis import EmbeddedRedis

ROOT = Path(__file__).resolve().parents[2]
READY = "worker_ready"
HIDDEN = """
import importlib.machinery as machinery
find = machinery.PathFinder.find_spec
def find_spec(name, path=None, target=None):
    return None if name.partition(".")[0] in ("peft", "scipy", "skimage") else find(name, path, target)
machinery.PathFinder.find_spec = staticmethod(find_spec)
"""
"""A `sitecustomize` module that hides packages."""
PARTS = """
import json, time
spent, last = {}, time.process_time()
def lap(name):
    global last
    now = time.process_time()
    spent[name], last = round(now - last, 2), now
import worker.process; lap("worker.process")
import torch; lap("torch")
import transformers.models.clip.modeling_clip; lap("transformers")
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel; lap("diffusers")
from worker.engines.s2edit_engine import S2EditEngine; lap("engine")
from s2edit_core.base_model.model_files import SHIPPED_MODEL
engine = S2EditEngine(str(SHIPPED_MODEL), "cpu"); lap("model")
engine.facts; lap("fingerprint")
print(json.dumps(spent))
"""


def environment(site: Path, redis_url: str, data_dir: Path) -> dict[str, str]:
    site.mkdir(exist_ok=True)
    (site / "sitecustomize.py").write_text(HIDDEN)
    return os.environ | {
        "PYTHONPATH": f"{site}:{ROOT}",
        "OMP_NUM_THREADS": "1",
        "S2EDIT_REDIS_URL": redis_url,
        "S2EDIT_DATA_DIR": str(data_dir),
        "S2EDIT_DEVICE": "cpu",
    }


def start(values: dict[str, str]) -> dict[str, float]:
    """Start a worker, wait until it is ready, and end it. Return its seconds until then."""
    command = [sys.executable, "-m", "celery", "-A", "worker.app", "worker", "--pool", "solo", "--concurrency", "1"]
    began = time.monotonic()
    process = subprocess.Popen(command, env=values, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # noqa: S603
    lines: list[str] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if READY in line:
                wall = time.monotonic() - began
                ticks = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]  # user, system
                return {"cpu_s": sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"), "wall_s": round(wall, 2)}
        raise RuntimeError("the worker did not start:\n" + "".join(lines))
    finally:
        process.terminate()
        process.wait(30)


def passes(repeats: int) -> dict[str, Any]:
    """Return CPU seconds of a pass by precision and number of rows."""
    torch.set_num_threads(1)
    measured: dict[str, Any] = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        backbone = Backbone.from_pretrained(str(SHIPPED_MODEL), dtype=dtype)
        prompt = prompt_keys_values(backbone, "a photo of a woman", {})
        side, channels = backbone.frame_size // backbone.latent_scale, int(backbone.unet.config.in_channels)  # type: ignore
        rows = tuple(Row(torch.zeros(channels, side, side), 500, prompt) for _ in range(8))
        backbone.evaluate(rows)
        found = {}
        for count in (1, 8):
            each = []
            for _ in range(repeats):
                began = time.process_time()
                backbone.evaluate(rows[:count])
                each.append(time.process_time() - began)
            found[f"{count} rows"] = round(median(each), 4)
        measured[name] = found
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5, help="passes of each kind, of which the median counts")
    parser.add_argument("--out", type=Path, default=Path("lab/results/cpu.json"))
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        redis = EmbeddedRedis(Path(folder) / "redis")
        redis.start()
        try:
            values = environment(Path(folder) / "site", redis.url, Path(folder) / "data")
            starts = [start(values) for _ in range(wanted.starts)]
            command = [sys.executable, "-c", PARTS]
            parts = subprocess.run(command, env=values, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603
        finally:
            redis.stop()
    results = {
        "machine": machine(),
        "start": {"median_cpu_s": median(each["cpu_s"] for each in starts), "starts": starts},
        "parts": json.loads(parts.stdout.splitlines()[-1]),
        "passes": passes(wanted.repeats),
    }
    wanted.out.write_text(dumped(results))
    print(dumped(results))


if __name__ == "__main__":
    main()
