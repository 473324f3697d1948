from s2edit_jobs.start import without_collection

with without_collection():
    from cli.main import app

app(prog_name="s2edit")
