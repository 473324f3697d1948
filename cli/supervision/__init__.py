"""`s2edit up`: start the parts of the service as child processes, restart those that die, and stop them together.

One `s2edit up` uses a data folder at a time (`folder_lock`). `log_files` bounds the size and the number of its logs.
"""
