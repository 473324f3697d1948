"""The entry of the command `s2edit` and of `python -m cli`."""

from s2edit_jobs.start import without_collection

with without_collection():
    from cli.main import app


def main() -> None:
    app(prog_name="s2edit")


if __name__ == "__main__":
    main()
