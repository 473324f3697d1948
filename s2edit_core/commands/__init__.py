"""The commands of `python -m s2edit_core`: each module has the options of one command, and the function that runs it on files.

This room imports `method`, `concepts`, `unet`, `vision`, `delivery`, `pictures`, `request` and `errors`. It checks all inputs that
it can before it loads torch and the model.
"""
