"""The HTTP service on FastAPI. `app.create_app` puts it together; importing it loads no torch.

    serve          the app for servers
    app            puts the service together
    routes         the routes, one resource a module (a room)
    openai         `/v1` in the shapes of OpenAI's API (a room)
    guard          who calls, how often, how large (a room)
    wire           schemas, forms, problems (a room)
    following      polls and streams of an edit (a room)
    description    the OpenAPI description (a room)
    studio         the pages `/` and `/docs` (a room)
    deps           what routes depend on: the services and the caller
    changes        how polls and streams learn that a job has changed
    slow_calls     threads for slow calls
    connection     a deadline for the heads of requests
    shutdown       the answer to requests that the end of the process interrupts

Nothing here waits for the model: a route checks a request, writes a job to the object store and answers 202. Whatever reads or
writes runs in threads. `changes` holds the one Redis subscription of a process, through which all polls and streams learn that a
job has changed.
"""
