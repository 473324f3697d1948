"""Values that the API and the workers exchange or store: jobs, errors, files, webhooks, test mode.

    record         specs, states, outcomes and leases of jobs; owners
    stored         how stored records are read, whatever release wrote them; the list of all kinds
    unreadable     what stands for a record that cannot be read
    set_aside      loops that skip an item which cannot be handled
    errors         the errors of API and workers
    files          the files of a request
    webhooks       the message at the end of a job, and when it is sent again
    estimates      how long a job will take
    estimate_keys  the names under which durations are measured
    testmode       directives such as `[test:slow 5]`
    trace          W3C trace context
    vocabulary     a model's words and token limit, without the model

Stored values outlive releases, so readers accept what earlier releases wrote. The only I/O here is reading a tokenizer.
"""
