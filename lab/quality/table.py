"""Write the results of `lab.quality.bench` as Markdown tables, domain by domain. `lab.front_page` writes the README's small table.

    python -m lab.quality.table                          print the tables
    python -m lab.quality.table --into PAGE.md           write them between `<!-- quality -->` and `<!-- /quality -->`
    python -m lab.quality.table --results lab/results/ablation.json --mark ablation --into PAGE.md

The same results give the same text. Brackets contain 95 % bootstrap intervals over subjects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.tables import decimals, markdown, percent, write_tables

ORDER = (
    *("unedited", "autoencoder", "ddim", "ddim-strong", "ddim+p2p", "null-text", "null-text+p2p", "direct+p2p", "negative-prompt"),
    *("edit-friendly", "ledits++", "infedit", "h-edit+p2p", "residual"),
    *("residual+difference", "balanced-unblended"),
    *("balanced-no-orthogonality", "balanced-unmasked", "balanced-token", "balanced-kv"),
    *("instant-no-identity", "balanced-early-stop", "balanced-fewer-steps", "instant-longer", "null-text+identity"),
    *("paper", "balanced", "balanced+p2p", "instant"),
)
"""Order of the rows. Methods that are not listed here follow in alphabetical order."""
NONE = "–"
MARK = "quality"
"""Name of the place of the tables in a page."""
Result = Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """A column of a table. `text` formats one of its numbers."""

    name: str
    title: str
    text: Callable[[float], str]
    higher_is_better: bool = True


MAIN = (
    Figure("psnr", "PSNR, dB", decimals(1)),
    Figure("psnr_changed", "PSNR changed, dB", decimals(1)),
    Figure("psnr_unchanged", "PSNR unchanged, dB", decimals(1)),
    Figure("ssim_changed", "SSIM changed", decimals(3)),
    Figure("ssim_unchanged", "SSIM unchanged", decimals(3)),
    Figure("gain", "gain, %", percent),
    Figure("success", "attribute there, %", percent),
    Figure("side_effects", "others changed", decimals(2), higher_is_better=False),
    Figure("identity_error", "identity error", decimals(3), higher_is_better=False),
    Figure("identity_error_decoded", "identity error beyond the auto-encoder's", decimals(3), higher_is_better=False),
    Figure("delivered_psnr", "delivered PSNR, dB", decimals(1)),
    Figure("delivered_psnr_changed", "delivered changed, dB", decimals(1)),
    Figure("delivered_psnr_unchanged", "delivered unchanged, dB", decimals(1)),
    Figure("delivered_detail", "delivered detail, %", percent),
    Figure("reconstruction_db", "reconstruction, dB", decimals(1)),
    Figure("leakage", "leakage of [I]", decimals(3), higher_is_better=False),
    Figure("max_abs_cosine_to_bank", "largest cosine of [I] to an attribute word", decimals(3), higher_is_better=False),
)
DIFFERENCES = tuple(figure for figure in MAIN[:14] if not figure.name.startswith("ssim"))
SMALL = {
    "psnr": "PSNR to the true answer, dB ↑",
    "success": "asked attribute there, % ↑",
    "identity_error": "identity error ↓",
    "side_effects": "others changed per edit ↓",
}
"""The columns of the small table: figures of `MAIN` with their titles there. Each cell has one value per domain."""
BARS = ("psnr", "success", "identity_error")
"""The figures of the table of all domains, where the chosen method is compared with each other one."""
SMALL_ROWS = ("ddim", "null-text+p2p", "paper", "residual+difference", "balanced")
PIE = (
    Figure("psnr_background", "background PSNR, dB", decimals(2)),
    Figure("psnr_background_pixels", "its pixels alone, dB", decimals(2)),
    Figure("mse_background", "background MSE ×10⁴", lambda value: f"{1e4 * value:.2f}", higher_is_better=False),
    Figure("ssim_background", "background SSIM ×100", lambda value: f"{100 * value:.2f}"),
    Figure("identity", "identity", decimals(3)),
    Figure("clip_pictures", "CLIP to the photo", decimals(2)),
    Figure("clip_whole", "CLIP whole", decimals(2)),
    Figure("clip_edited", "CLIP edited", decimals(2)),
    Figure("structure_distance", "structure ×10³", lambda value: f"{1e3 * value:.2f}", higher_is_better=False),
)


PLURAL = {"person": "people", "cat": "cats", "church": "churches"}
READING = (
    "How to read the tables. Two small networks look at each picture; both were trained on other pictures of the same programs. "
    "The *judge* says which attributes a picture shows. The *regressor* reads numbers that describe the identity, such as a "
    "person's skin, face shape and eye colour. A cell holds the mean and its 95 % interval, by bootstrap over subjects."
)
MEANINGS = {
    "changed, unchanged": "where the true answer differs from the source, and where it does not",
    "gain": (
        "the share of the true change that was made, as the projection of the change made on the true one: doing nothing has "
        "0 %, the true answer 100 %, an exaggeration more"
    ),
    "attribute there": "the share of edits in which the judge sees what the prompt asks for",
    "others changed": "how many other attributes per edit the judge classifies differently from the true answer",
    "identity error": (
        "how far the regressor's readings of the result and of the true answer are apart, in standard deviations, over the numbers "
        "that it can read"
    ),
    "identity error beyond the auto-encoder's": "the same, compared with the true answer encoded and decoded",
    "delivered": (
        "of the edit as the service returns it, in a photo of 512 px; *changed* and *unchanged* lie inside the edit mask, because "
        "nothing changes outside"
    ),
    "delivered detail": (
        "the energy of the Laplacian, as a share of the photo's own, in the unchanged part beyond one latent cell (16 pixels) from "
        "what should change"
    ),
    "reconstruction": "PSNR of the inverted photo, sampled again with its own prompt",
    "next edit": "a further edit of the same subject, which needs no learning and no inversion",
}
"""What the columns of the domains' tables mean."""
FEWER_NOTE = (
    " A row with fewer subjects covers only the first of them. To compare it with another row, use the table of differences, which "
    "pairs edits."
)


def _has(results: Result, figure: str) -> bool:
    return any(figure in method["intervals"]["all"] for method in results["methods"].values())


def in_order(names: Sequence[str]) -> list[str]:
    return sorted(names, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))


def _with_interval(figure: Figure, found: Mapping[str, Sequence[float]]) -> str:
    if figure.name not in found:
        return NONE
    mean, low, high = (figure.text(value) for value in found[figure.name])
    return mean if mean == low == high else f"{mean} [{low}, {high}]"


def _cost(method: Result) -> tuple[str, str]:
    """Return UNet evaluations and seconds as `first / next`: the first edit of a person, and every further one."""
    cost = method["cost"]
    if not cost:
        return NONE, NONE
    following = cost["edit"]
    first = {key: sum(phase[key] for phase in cost.values()) for key in following}
    evaluations = f"{first['evaluations']:.0f} / {following['evaluations']:.0f}"
    return evaluations, f"{first['seconds']:.1f} / {following['seconds']:.1f}"


def _compared(figure: Figure, found: Mapping[str, Sequence[float]], subjects: int) -> str:
    """Format a difference with its interval, in bold if the interval excludes zero. That of a single subject says nothing."""
    if figure.name not in found:
        return NONE
    mean, low, high = found[figure.name]
    text = f"{_signed(figure, mean)} [{_signed(figure, low)}, {_signed(figure, high)}]"
    return f"**{text}**" if subjects > 1 and (low > 0 or high < 0) else text


def _subjects(results: Result) -> int:
    """Return the number of subjects; a benchmark of photographs has many."""
    subjects: int = results["setting"].get("subjects", results["setting"].get("items", 0))
    return subjects


def _signed(figure: Figure, value: float) -> str:
    text = figure.text(abs(value))
    return text if float(text) == 0 else f"{'+' if value > 0 else '−'}{text}"


def _titled(results: Result, name: str) -> str:
    """Return the title of a method, with its guidance if it differs from the bench's."""
    method, gain = results["methods"][name], results["methods"][name].get("guidance_gain", 1.0)
    return method["title"] if gain == 1 else f"{method['title']}, guidance {gain * results['setting']['guidance_scale']:g}"


def _named(results: Result, name: str) -> str:
    """Return the title of a method, with its number of subjects if it is smaller than the bench's."""
    title, setting = _titled(results, name), results["setting"]
    subjects = len(results["methods"][name].get("subjects", ()))
    return f"{title}, {subjects} {PLURAL[setting['domain']]}" if 0 < subjects < setting.get("subjects", 0) else title


def _has_fewer_subjects(results: Result) -> bool:
    return any(0 < len(method["subjects"]) < results["setting"]["subjects"] for method in results["methods"].values())


def main_table(results: Result, figures: Sequence[Figure]) -> str:
    """Return a table with a row per method: every figure that some method has, with its interval, and the costs."""
    methods = results["methods"]
    shown = [figure for figure in figures if any(figure.name in method["intervals"]["all"] for method in methods.values())]
    head = ["method", *(figure.title for figure in shown), "UNet evaluations, first / next edit", "seconds, first / next edit"]
    rows = []
    for name in in_order(list(methods)):
        found = methods[name]["intervals"]["all"]
        cells = [_with_interval(figure, found) for figure in shown]
        rows.append([_named(results, name), *cells, *_cost(methods[name])])
    return markdown(head, rows)


def difference_table(results: Result, figures: Sequence[Figure]) -> str:
    """Return a table of the differences between the chosen method and every other one, over the edits that both have."""
    compared = results["differences"]
    known = {name: found for name, found in compared["minus"].items() if found}
    shown = [figure for figure in figures if any(figure.name in found for found in known.values())]
    head = [f"{_named(results, compared['of'])} minus", *(_hint(figure) for figure in shown)]
    n = _subjects(results)
    rows = [[_named(results, name), *(_compared(figure, known[name], n) for figure in shown)] for name in in_order(list(known))]
    return markdown(head, rows)


def _hint(figure: Figure) -> str:
    return figure.title if figure.higher_is_better else f"{figure.title} (less is better)"


def edit_table(results: Result) -> str:
    """Return a table with a column per edit: the success rate in percent, and the PSNR in the changed region."""
    methods = results["methods"]
    tried = {name for method in methods.values() for name in method["summary"]} - {"all"}
    edits = [name for name in results["setting"]["edits"] if name in tried]
    example = next(iter(methods.values()))["summary"]
    head = ["attribute there, % · PSNR changed, dB", *(f"{edit} ({example[edit]['cases']})" for edit in edits)]
    rows = []
    for name in in_order(list(methods)):
        found = methods[name]["intervals"]
        cells = [f"{percent(found[e]['success'][0])} · {found[e]['psnr_changed'][0]:.1f}" if e in found else NONE for e in edits]
        rows.append([_named(results, name), *cells])
    return markdown(head, rows)


def of_domains(results: Result) -> Mapping[str, Result]:
    """Return the sections of a results file by domain, in the order of `PLURAL`. Raises `ValueError` for a file without them."""
    if "domains" not in results:
        raise ValueError("it has no domains, as files of the former bench of portraits: measure it anew with python -m lab.quality")
    return {domain: results["domains"][domain] for domain in PLURAL if domain in results["domains"]}


def edits_of(section: Result) -> int:
    """Return the number of edits of the method that has most."""
    return max(len(method["records"]) for method in section["methods"].values())


def small_table(results: Result) -> str:
    """Return the means of `SMALL` for `SMALL_ROWS`, those of the domains side by side, without intervals.

    Raises `KeyError` for a method that a domain lacks.
    """
    domains = of_domains(results)
    figures = [figure for name in SMALL for figure in MAIN if figure.name == name]
    rows = []
    for name in SMALL_ROWS:
        found = [section["methods"][name]["intervals"]["all"] for section in domains.values()]
        cells = [" · ".join(figure.text(each[figure.name][0]) for each in found) for figure in figures]
        rows.append([_named(next(iter(domains.values())), name), *cells])
    return markdown(["method", *SMALL.values()], rows)


def bars_table(results: Result) -> str:
    """Return the differences of `BARS` between the chosen method and every other one, with the domains side by side."""
    domains = {domain: section for domain, section in of_domains(results).items() if section["differences"].get("minus")}
    figures = [figure for name in BARS for figure in MAIN if figure.name == name]
    first = next(iter(domains.values()))
    head = [f"{_titled(first, first['differences']['of'])} minus"]
    head += [f"{PLURAL[domain]}: {_hint(figure)}" for domain in domains for figure in figures]
    names = dict.fromkeys(name for section in domains.values() for name in section["differences"]["minus"])
    rows = []
    for name in in_order(list(names)):
        found = [(section["differences"]["minus"].get(name, {}), _subjects(section)) for section in domains.values()]
        title = next(_titled(section, name) for section in domains.values() if name in section["methods"])
        rows.append([title, *(_compared(figure, *each) for each in found for figure in figures)])
    return markdown(head, rows)


def notes_of(section: Result) -> str:
    """Return what a reader of a domain's tables must know."""
    setting, judge = section["setting"], section["judge_accuracy"]
    worst, average = min(judge.values()), sum(judge.values()) / len(judge)
    domain = setting["domain"]
    return (
        f"{edits_of(section)} edits of {setting['subjects']} unseen {PLURAL[domain]}, at guidance "
        f"{setting['guidance_scale']:g} unless noted. The judge's accuracy on unseen renders is {100 * worst:.1f} % for its worst "
        f"attribute and {100 * average:.1f} % on average.{FEWER_NOTE if _has_fewer_subjects(section) else ''}"
    )


def reading(domains: Mapping[str, Result]) -> list[str]:
    """Return what the tables of all domains mean, column by column."""
    delivered = any(_has(section, "delivered_psnr") for section in domains.values())
    rows = [[f"*{name}*", meaning] for name, meaning in MEANINGS.items() if delivered or not name.startswith("delivered")]
    return [READING, markdown(["column", "meaning"], rows, right=False)]


def domain_tables(section: Result) -> list[str]:
    """Return the tables of a domain with their explanations."""
    parts = [f"### {PLURAL[section['setting']['domain']].capitalize()}", notes_of(section), main_table(section, MAIN)]
    if section["differences"].get("minus"):
        parts += ["Differences, paired by edit; bold if the interval excludes zero:", difference_table(section, DIFFERENCES)]
    return [*parts, "By edit (number of cases):", edit_table(section)]


def render(results: Result) -> str:
    """Return all tables of a results file, with the explanations that a reader needs.

    Raises `ValueError` for a file that is neither of domains nor of a benchmark.
    """
    if "bench" in (setting := results.get("setting", {})):
        notes = f"{setting['bench']}, {setting['items']} records, guidance {setting['guidance_scale']:g}; 95 % intervals over them."
        parts = [notes, main_table(results, PIE)]
        return "\n\n".join([*parts, *([difference_table(results, PIE)] if results["differences"] else [])]) + "\n"
    domains = of_domains(results)
    parts = reading(domains)
    if any(section["differences"].get("minus") for section in domains.values()):
        edits = ", ".join(f"{edits_of(section)} edits of {PLURAL[domain]}" for domain, section in domains.items())
        parts += [f"{edits}: differences, paired by edit; bold if the interval excludes zero.", bars_table(results)]
    return "\n\n".join([*parts, *(part for section in domains.values() for part in domain_tables(section))]) + "\n"


def main() -> None:
    write_tables(render, results="lab/results/quality.json", mark=MARK, about=__doc__)


if __name__ == "__main__":
    main()
