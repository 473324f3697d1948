"""Write the README's two tables from `lab/results/`: `python -m lab.front_page`.

Run it after a bench has written new results. A test compares the README with the tables.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

from cli.markdown import put_between
from lab.quality.table import MARK, PLURAL, edits_of, of_domains, small_table

RESULTS = Path("lab/results")
DESCRIPTION = Path("clients/openapi.json")
FILES = ("demo", "fuzz", "overhead", "photos", "promises", "quality", "storm", "storm-control", "storm-model")
"""Results files that the tables use."""
Results = Mapping[str, Any]
"""The contents of the files by name, and the API's operations as `operations`."""


def read_results(folder: Path = RESULTS) -> Results:
    """Return the contents of `FILES` in `folder`, and the operations that the API has now, such as `GET /edits`."""
    paths = json.loads((folder.parent.parent / DESCRIPTION).read_text(encoding="utf-8"))["paths"]
    operations = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    return {name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in FILES} | {"operations": operations}


def promises(results: Results) -> str:
    """Return the table of promises as Markdown, each figure linked to the file that it comes from."""
    rows = [
        (
            "Outside the edit mask, no pixel of a PNG result changes, unless you turn on the watermark.",
            f"largest difference in the demo's edits: {_outside(results['demo'])}",
        ),
        (
            "Without faults, simultaneous first edits of a photo learn the person once.",
            _learned_once(results["promises"], results["storm"]),
        ),
        ("A person's next edit is quick.", _next_edit(results["demo"], results["quality"])),
        ("An accepted edit ends exactly once.", _storm(results["storm"])),
        ("– For comparison: plain Celery (`acks_late`).", _control(results["storm-control"])),
        ("An edit whose worker dies continues on another one.", _restart(results["storm"])),
        ("The same request, run alone, gives the same picture.", _same_picture(results["storm-model"])),
        ("A repeated request returns the same edit.", _one_key(results["promises"])),
        ("The photo keeps its resolution and its detail.", _detail(results["photos"])),
        ("The OpenAPI description covers every answer, with its status and body.", _fuzz(results["fuzz"], results["operations"])),
        ("Waiting for an edit costs the server little.", _polls(results["overhead"])),
    ]
    return (
        "\n".join(["| promise | measured |", "| --- | --- |", *(f"| {promise} | {measured} |" for promise, measured in rows)])
        + "\n"
    )


def written(page: str, results: Results) -> str:
    """Return `page` with both tables between their markers. Raises `ValueError` if a marker is missing."""
    page = put_between(page, promises(results), "promises")
    return put_between(page, quality(results["quality"]), MARK)


def quality(results: Results) -> str:
    """Return the small table of quality as Markdown, with a sentence on the measurement."""
    domains = of_domains(results)
    counts = [f"{edits_of(section)} of {section['setting']['subjects']} {PLURAL[domain]}" for domain, section in domains.items()]
    counts[0] = counts[0].replace(" of ", " edits of ", 1)
    *some, last = counts
    measured = _link(" and ".join([", ".join(some), last] if some else [last]), "quality")
    cells = " · ".join(PLURAL[domain] for domain in domains)
    return f"{measured} that the model has never seen, compared with the true answers ({cells}):\n\n{small_table(results)}\n"


def _link(text: str, name: str) -> str:
    return f"[{text}]({RESULTS.as_posix()}/{name}.json)"


def _outside(demo: Results) -> str:
    level = max(edit["outside_edit_mask"]["max_level_difference"] for edit in demo["edits"])
    return _link(f"{level} of 255 levels", "demo")


def _learned_once(found: Results, storm: Results) -> str:
    photo = found["one_photo"]
    learned = _link(f"learned {_times(photo['learning_runs'])}", "promises")
    people, runs = re.findall(r"(\d+) identities learned (\d+) times", storm["line"])[0]
    return (
        f"{photo['edits']} edits of one photo on {photo['workers']} workers: {learned}. "
        f"While processes are killed and Redis is emptied: {runs} learnings of {people} people"
    )


def _next_edit(demo: Results, measured: Results) -> str:
    cost = of_domains(measured)["person"]["methods"]["balanced"]["cost"]
    first, further = sum(phase["evaluations"] for phase in cost.values()), cost["edit"]["evaluations"]
    firsts_s = max(edit["wall_s"] for edit in demo["edits"] if edit["learning_steps"])  # they begin together
    seconds = _link(f"next edit {demo['edits'][-1]['wall_s']:.1f} s", "demo")
    evaluations = _link(f"{first:.0f} and {further:.0f}", "quality")
    return (
        f"demo on {demo['machine']['cores']} CPU cores, default preset: {seconds}. The first edits of a person, a cat and a "
        f"church, side by side while a makeup is learned too: all done after {firsts_s:.1f} s. "
        f"UNet evaluations of a first and of a next edit in the quality benchmark: {evaluations}"
    )


def _storm(storm: Results) -> str:
    lost, twice = (len(storm["findings"][name]) for name in ("lost", "duplicated"))
    return (
        f"{storm['plan']['jobs']:,} edits with a stand-in for the model, {storm['kills']:,} killed processes, "
        f"Redis emptied {storm['blows']['empty redis']} times: {_link(f'{lost} lost, {twice} repeated', 'storm')}"
    )


def _control(control: list[Results]) -> str:
    plain = next(run for run in control if not run["emptied"])
    lost = _link(f"{plain['lost']} lost, {plain['repeated']} repeated", "storm-control")
    return f"{plain['jobs']:,} tasks, {plain['kills']:,} killed processes: {lost}"


def _restart(storm: Results) -> str:
    up, every = storm["restart_s"], storm["restart_in_all_s"]
    longest = _link(f"median {up['p50']:.1f} s, longest {up['max']:.1f} s", "storm")
    return (
        f"from the worker's death to the next attempt: {longest} ({up['count']} jobs, Redis intact). "
        f"All {every['count']} jobs, some with a failed Redis: longest {every['max']:.1f} s"
    )


def _same_picture(storm: Results) -> str:
    wrong = _link(f"{len(storm['findings']['wrong_owner'])} pictures differ", "storm-model")
    return (
        f"{storm['plan']['jobs']} edits of the former shipped model under {storm['kills']} kills, compared with an undisturbed "
        f"run: {wrong}"
    )


def _one_key(found: Results) -> str:
    one = found["one_key"]
    edits = _link(f"{one['edits']} edit{'' if one['edits'] == 1 else 's'}", "promises")
    return f"{one['posts']:,} posts with one `Idempotency-Key`, the API killed {_times(one['kills'])}: {edits}"


def _detail(photos: Results) -> str:
    kept, pasted = (photos["medians"][f"hair colour {way} 3464"]["energy_same"] for way in ("difference", "paste"))
    glasses, hat = (photos["medians"][f"{edit} difference 3464"]["energy_same"] for edit in ("glasses", "hat"))
    figures = _link(f"keeps {kept:.0f} % of its detail", "photos")
    return (
        f"12 megapixels, hair recoloured: all else in the edit mask, such as the face, {figures} "
        f"({pasted:.0f} % if the model's 128-pixel picture is pasted in); adding glasses: {glasses:.0f} %, a hat: {hat:.0f} %"
    )


def _fuzz(fuzz: Results, operations: Set[str]) -> str:
    """Return the requests, and how many of the API's `operations` they reached: a newer one may be missing in the file."""
    errors = sum(count for codes in fuzz["answers"].values() for code, count in codes.items() if code.startswith("5"))
    kinds = len(fuzz["failures"])
    figures = _link(f"{errors} server errors, {kinds} undocumented answers", "fuzz")
    reached = len(operations & set(fuzz["answers"]))
    share = f"all {reached}" if reached == len(operations) else f"{reached} of the {len(operations)}"
    return f"{fuzz['requests']:,} generated requests over {share} operations: {figures}"


def _polls(overhead: Results) -> str:
    one, streams = overhead["polls"]["1"], overhead["streams"]
    figures = _link(f"{one['service']['p50_ms']:.2f} ms", "overhead")
    return (
        f"a poll of an unchanged edit takes {figures}, a route that does nothing {one['bare']['p50_ms']:.2f} ms (medians); "
        f"{streams['streams']:,} event streams share {streams['redis_subscriptions']} Redis subscription"
    )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, default=Path("README.md"), help="file with the markers")
    page: Path = parser.parse_args().into
    page.write_text(written(page.read_text(encoding="utf-8"), read_results()), encoding="utf-8")


if __name__ == "__main__":
    main()
