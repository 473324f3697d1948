"""The job store on Redis: one module per role, with its Lua beside it.

    leases             which worker holds which job, and whose job is next (`CLAIM`)
    admission          queue slots: how many unfinished jobs a user and a tenant may have
    records, hashes    jobs and their states, as Redis hashes
    events             progress, events and previews, and the notice that a job has changed
    reservations       which job learns a concept, and which jobs wait for it
    outbox             webhooks to send
    estimates          how long jobs take
    usage              what tenants have used
    tasks              periodic tasks that one process does for all
    erasure            what goes with a job or an owner
    recovery           after Redis was emptied, restarted or restored
    object_store_id    which object store the service uses
    lua                the keys, and the functions that scripts share
    server             the connection, and checks of the server (a room)

Every transition is one Lua script, so it happens whole or not at all. Nothing outside this folder imports more than what is here.
"""

from __future__ import annotations

from s2edit_jobs.stores.job_store import JobStore
from s2edit_jobs.stores.redis_store.admission import RedisAdmission
from s2edit_jobs.stores.redis_store.erasure import RedisErasure
from s2edit_jobs.stores.redis_store.estimates import RedisEstimates
from s2edit_jobs.stores.redis_store.events import RedisEvents
from s2edit_jobs.stores.redis_store.leases import RedisLeases
from s2edit_jobs.stores.redis_store.outbox import RedisOutbox
from s2edit_jobs.stores.redis_store.records import RedisRecords
from s2edit_jobs.stores.redis_store.recovery import RedisRecovery
from s2edit_jobs.stores.redis_store.reservations import RedisReservations
from s2edit_jobs.stores.redis_store.server.checks import ServerUnsupported, server_problems
from s2edit_jobs.stores.redis_store.server.connection import Clock, Connection
from s2edit_jobs.stores.redis_store.tasks import RedisTasks
from s2edit_jobs.stores.redis_store.usage import RedisUsage

__all__ = ["ServerUnsupported", "redis_job_store", "server_problems"]


def redis_job_store(url: str, *, timeout_s: float = 0.2, clock: Clock | None = None) -> JobStore:
    """Build the store. `url` is a redis-py URL. A Redis that does not answer within `timeout_s` is `StoreUnavailable`.

    The time is the Redis server's, so the workers' clocks need not agree. Pass `clock` (seconds since the epoch) to drive it.
    """
    connection = Connection(url, timeout_s=timeout_s, clock=clock)
    return JobStore(
        records=RedisRecords(connection),
        leases=RedisLeases(connection),
        events=RedisEvents(connection),
        reservations=RedisReservations(connection),
        admission=RedisAdmission(connection),
        estimates=RedisEstimates(connection),
        outbox=RedisOutbox(connection),
        usage=RedisUsage(connection),
        erasure=RedisErasure(connection),
        tasks=RedisTasks(connection),
        recovery=RedisRecovery(connection),
    )
