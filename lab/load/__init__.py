"""The running service under load: `python -m lab.load`.

    python -m lab.load                         every phase, about seven minutes: lab/results/load.json
    python -m lab.load --only fake/1           one engine and number of edits per worker: fake/1, fake/16, model/1, model/16
    python -m lab.load.table                   the results as Markdown

Each phase starts `s2edit up` in a new folder, on loopback: Redis, the API, one worker, one housekeeper. Locust's users, in one more
process, edit through HTTP. All processes share the cores of the machine.

1. *Alone*: one user makes further edits of a learned person, one after another.
2. *Crowd*: several users do so at once. Every fourth edit is the first one of a new person, who must be learned.
3. *Flood*: one user keeps many first edits of new people waiting, and the user of 1. goes on beside it.

Every phase writes its result as soon as it has one. A second run with the same file skips finished phases.
"""
