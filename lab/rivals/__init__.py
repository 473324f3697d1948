"""Compare servers that answer `POST /v1/images/edits`, OpenAI's shape, by what they do to their users.

    python -m lab.rivals --url http://127.0.0.1:8000 --name "what it is" --out lab/results/rivals.json
    python -m lab.rivals --ours test             start our own service in test mode; or `model`, the shipped model

Many users send edits at the same time (`crowd`). Each photo carries a mark outside the mask (`marks`), which the answer must carry
too: so answers that are lost, doubled or swapped show, and pixels that changed outside the mask. Then each parameter is probed
(`probes`): it must be honoured, or refused with a 4xx in OpenAI's shape, never ignored. `client` sends requests,
`own_service` starts our own and `gateways` a gateway in front of it. `table` writes the results into `docs/evidence.md`. Requests
go to this machine only, bounded in number and time.
"""
