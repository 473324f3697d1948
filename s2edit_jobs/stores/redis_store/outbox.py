"""Jobs whose end is still to be sent to a webhook, and how many a tenant may send at a time.

A message that is due while its tenant sends as many as it may is parked: it stays in `outbox`, due only after a lease, and is
brought forward when one of the tenant's messages leaves. If no sender lives to do that, the lease ends.
"""

from __future__ import annotations

from s2edit_jobs.stores.redis_store.lua import script
from s2edit_jobs.stores.redis_store.server.connection import Connection

PAGES = 10
"""Pages of due messages that one call looks through for a tenant that may send."""

# The tenant of a message: its record says it, and `announced` where Redis has lost the record of a job that is over.
_SHARED = """
local outbox, announced = P .. 'outbox', P .. 'announced'
local function names(id)
  local tenant = redis.pcall('HGET', job(id), 'tenant')
  if type(tenant) ~= 'string' then tenant = redis.call('HGET', announced, id) or '' end
  return P .. 'sending:' .. tenant, P .. 'parked:' .. tenant
end
local function leave(id)  -- let the tenant's next message be sent
  local sending, parked = names(id)
  redis.call('ZREM', parked, id)
  if redis.call('ZREM', sending, id) == 0 then return end
  repeat
    local following = redis.call('ZPOPMIN', parked)[1]
    if following and redis.call('ZSCORE', outbox, following) then return redis.call('ZADD', outbox, 'XX', now_ms, following) end
  until not following
end
"""

# Answers the job and the number of this try.
TAKE = script(
    _SHARED
    + f"""
for _ = 1, {PAGES} do
  local due = redis.call('ZRANGEBYSCORE', outbox, '-inf', now_ms, 'LIMIT', 0, PAGE)
  for _, id in ipairs(due) do
    local sending, parked = names(id)
    redis.call('ZADD', outbox, now_ms + lease_ms, id)  -- first, because a full Redis refuses only the first write of a script
    redis.call('ZREMRANGEBYSCORE', sending, '-inf', now_ms)  -- of senders that died
    if redis.call('ZCARD', sending) < tonumber(at_once) then
      redis.call('ZREM', parked, id)
      redis.call('ZADD', sending, now_ms + lease_ms, id)
      redis.call('PEXPIRE', sending, lease_ms)
      return {{ id, redis.call('HINCRBY', P .. 'tries', id, 1) }}
    end
    redis.call('ZADD', parked, 'NX', now_ms, id)
    redis.call('PEXPIRE', parked, 2 * lease_ms)
  end
  if #due < PAGE then return false end
end
return false
""",
    "lease_ms, at_once",
)

ANNOUNCE = script(
    """
redis.call('HSET', P .. 'announced', id, tenant)
return redis.call('ZADD', P .. 'outbox', 'NX', now_ms, id)
""",
    "id, tenant",
)

PUT_OFF = script(
    _SHARED
    + """
leave(id)
if uncounted == '1' then redis.call('HINCRBY', P .. 'tries', id, -1) end
return redis.call('ZADD', outbox, 'XX', now_ms + wait_ms, id)
""",
    "id, wait_ms, uncounted",
)

END = script(
    _SHARED
    + """
redis.call('ZREM', outbox, id)
redis.call('HDEL', P .. 'tries', id)
leave(id)
redis.call('HDEL', announced, id)
""",
    "id",
)


class RedisOutbox:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def announce(self, job_id: str, tenant: str) -> None:
        self._connection.run(ANNOUNCE, job_id, tenant)

    def take(self, *, lease_s: float, at_once: int) -> tuple[str, int] | None:
        taken = self._connection.run(TAKE, int(lease_s * 1000), at_once)
        return (taken[0], int(taken[1])) if taken else None

    def put_off(self, job_id: str, wait_s: float, *, counted: bool = True) -> None:
        self._connection.run(PUT_OFF, job_id, int(wait_s * 1000), "" if counted else "1")

    def end(self, job_id: str) -> None:
        self._connection.run(END, job_id)
