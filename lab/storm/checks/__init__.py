"""The promises of the service as pure functions, from what a client saw (`history`) and workers did (`attempts`) to findings."""
