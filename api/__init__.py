"""The HTTP service on FastAPI. `app.create_app` puts it together; importing it loads no torch.

Nothing here waits for the model: a route checks a request, writes a job to the object store and answers 202. Whatever reads or
writes runs in threads. `changes` holds the one Redis subscription of a process, through which all polls and streams learn that a
job has changed.
"""
