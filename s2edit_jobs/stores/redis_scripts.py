"""The job store's transitions as Lua: each script runs whole, and alone, inside Redis. `redis_store` says what they are for.

Keys (all under `s2edit:`)
    job:<id>          hash: the record, one field per value; and `fence`, `holds` (the concept it learns), `verdict`
    events:<id>       stream: how the job stood after each change; an entry's id is `<sequence>-0`
    due               sorted set: jobs that are not over, by the millisecond from which nobody holds them; 0: queued
    line:<owner>      sorted set: that owner's queued jobs, oldest first
    turns             sorted set: owners with queued jobs, by when they were served last
    open:<owner>      set: that owner's jobs that are not over
    places            sorted set: jobs that are being taken on, by the millisecond until which their place is kept
    places:<owner>    the same, of that owner
    deadlines         sorted set: jobs with a deadline, by it
    learner:<concept> string: the job that learns it; it counts until that job is over
    waiters:<concept> set: jobs that wait for it
    outbox            sorted set: jobs whose end is to be told, by the millisecond from which it may be tried
    tries             hash: how often that was tried
    due:test, turns:test  the same for jobs of test mode, which no worker of live ones ever holds up
    pace:<preset>     hash: means of measured seconds, by phase
    spent:<tenant>:<day>  hash: what the tenant used on that day since 1970; written without a script, as are
    rates…            the counts of requests, which are `api/guard/rates.py`'s
"""

from __future__ import annotations

from s2edit_jobs.records.record import TWIN
from s2edit_jobs.stores.store import PAGE

FIELDS = (
    "state",
    "updated_at",
    "phase",
    "step",
    "total",
    "attempt",
    "cancel_requested",
    "artifacts",
    "identity",
    "failure",
    "waits_for",
)
"""What of a record changes, and so is written into every event; besides the sequence."""

_FIELD_LIST = ", ".join(f"'{name}'" for name in FIELDS)

# `KEYS` is empty: one Redis holds all keys, and most names are found on the way. ARGV[1] is the job's id where there is one.
_PRELUDE = f"""
local id = ARGV[1]
local P = 's2edit:'
local LOOK_MS = 2000  -- how often it is looked whether a learner is over that did not say so
local PAGE = {PAGE}  -- how many jobs one call looks at
local deadlines = P .. 'deadlines'
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local function integer(number) return string.format('%d', number) end
local function job(id) return P .. 'job:' .. id end
local function value(id, name) return redis.call('HGET', job(id), name) or '' end
local function owner(id) return value(id, 'tenant') .. '/' .. value(id, 'user') end
local function answer(id) return redis.call('HGETALL', job(id)) end
local function owned(id, tenant, user) return value(id, 'tenant') == tenant and value(id, 'user') == user end
local function held(id, fence) return value(id, 'state') == 'running' and value(id, 'fence') == fence end
local function of_lane(name, who) return P .. name .. (string.sub(who, 1, {len(TWIN)}) == '{TWIN}' and ':test' or '') end
local function due_of(id) return of_lane('due', owner(id)) end

local function log(id)  -- the job as it stands now, into its events
  local entry = {{}}
  local names = {{ {_FIELD_LIST} }}
  for i, got in ipairs(redis.call('HMGET', job(id), unpack(names))) do
    entry[#entry + 1] = names[i]
    entry[#entry + 1] = got or ''
  end
  local events, sequence = P .. 'events:' .. id, value(id, 'sequence')
  redis.call('XADD', events, 'MAXLEN', '~', ARGV[#ARGV], sequence .. '-0', unpack(entry))
  redis.call('PUBLISH', P .. 'changes', id)
end

local function change(id, ...)  -- sets the fields, and makes the change visible
  redis.call('HSET', job(id), 'updated_at', string.format('%.3f', now_ms / 1000), ...)
  redis.call('HINCRBY', job(id), 'sequence', 1)
  log(id)
end

local function enqueue(id, first)  -- `first`: its owner's turn was taken already, and lost
  local who = owner(id)
  local turns = of_lane('turns', who)
  redis.call('ZADD', P .. 'line:' .. who, 0, id)
  if first then
    local front = redis.call('ZRANGE', turns, 0, 0, 'WITHSCORES')[2]
    redis.call('ZADD', turns, integer(tonumber(front or 0) - 1), who)
  elseif not redis.call('ZSCORE', turns, who) then redis.call('ZADD', turns, redis.call('INCR', P .. 'turn'), who) end
  redis.call('ZADD', of_lane('due', who), 0, id)
end

local function leave(id)  -- the job no longer stands in the queue
  local who = owner(id)
  redis.call('ZREM', P .. 'line:' .. who, id)
  if redis.call('ZCARD', P .. 'line:' .. who) == 0 then redis.call('ZREM', of_lane('turns', who), who) end
end

local function learner(concept)  -- the job that has reserved it, until that is over; '' if none
  local at = redis.call('GET', P .. 'learner:' .. concept) or ''
  local state = value(at, 'state')
  return (state == 'queued' or state == 'running') and value(at, 'holds') == concept and at or ''
end

local function requeue_lost(due)  -- whatever has lost its holder, or the learner that it waited for
  local ids = redis.call('ZRANGEBYSCORE', due, '(0', now_ms, 'LIMIT', 0, PAGE)
  for i = #ids, 1, -1 do  -- so the one that is lost longest comes to the front last
    local id = ids[i]
    local waits_for, lost = value(id, 'waits_for'), value(id, 'state') == 'running'
    if waits_for ~= '' and learner(waits_for) ~= '' then
      redis.call('ZADD', due, now_ms + LOOK_MS, id)
    elseif lost or value(id, 'state') == 'queued' then
      change(id, 'state', 'queued', 'phase', '', 'step', 0, 'total', 0, 'waits_for', '')
      enqueue(id, lost)
    else
      redis.call('ZREM', due, id)
    end
  end
end
"""

# ARGV: id, then the fields and values of a new record, then KEEP_EVENTS (last in every script that changes a job).
ADD = (
    _PRELUDE
    + """
if redis.call('EXISTS', job(id)) == 0 then
  redis.call('HSET', job(id), unpack(ARGV, 2, #ARGV - 1))
  redis.call('DEL', P .. 'events:' .. id)
  log(id)
  enqueue(id)
  redis.call('SADD', P .. 'open:' .. owner(id), id)
  local deadline = value(id, 'deadline_at')
  if deadline ~= '' then redis.call('ZADD', deadlines, deadline, id) end
end
redis.call('ZREM', P .. 'places', id)
redis.call('ZREM', P .. 'places:' .. owner(id), id)
return answer(id)
"""
)

# ARGV: id or '', lease in ms, the lane: '' or TWIN.
CLAIM = (
    _PRELUDE
    + """
requeue_lost(of_lane('due', ARGV[3]))
local turns = of_lane('turns', ARGV[3])
if id == '' then
  local who = redis.call('ZRANGE', turns, 0, 0)[1]
  if not who then return false end
  redis.call('ZADD', turns, redis.call('INCR', P .. 'turn'), who)
  id = redis.call('ZRANGE', P .. 'line:' .. who, 0, 0)[1]
elseif value(id, 'state') ~= 'queued' or value(id, 'waits_for') ~= '' then
  return false
end
leave(id)
local fence = math.max(tonumber(redis.call('HGET', job(id), 'fence') or 0) + 1, now_ms)
redis.call('HINCRBY', job(id), 'attempt', 1)
redis.call('HSET', job(id), 'fence', integer(fence))
change(id, 'state', 'running', 'phase', '', 'step', 0, 'total', 0)
redis.call('ZADD', due_of(id), now_ms + ARGV[2], id)
return answer(id)
"""
)

# ARGV: id, fence, lease in ms.
RENEW = (
    _PRELUDE
    + """
if not held(id, ARGV[2]) then return false end
redis.call('ZADD', due_of(id), now_ms + ARGV[3], id)
return answer(id)
"""
)

# ARGV: id, fence, phase, step, total.
PROGRESS = (
    _PRELUDE
    + """
if not held(id, ARGV[2]) then return false end
change(id, 'phase', ARGV[3], 'step', ARGV[4], 'total', ARGV[5])
return answer(id)
"""
)

# ARGV: id, fence, concept, seconds to keep what is forgotten. Answers 'lost', 'waits' or 'learns'.
RESERVE = (
    _PRELUDE
    + """
if not held(id, ARGV[2]) then return 'lost' end
local concept = ARGV[3]
local key, waiters, other = P .. 'learner:' .. concept, P .. 'waiters:' .. concept, learner(concept)
if other ~= '' and other ~= id then
  redis.call('HINCRBY', job(id), 'attempt', -1)
  change(id, 'state', 'queued', 'phase', '', 'step', 0, 'total', 0, 'waits_for', concept)
  redis.call('ZADD', due_of(id), now_ms + LOOK_MS, id)
  redis.call('SADD', waiters, id)
  redis.call('EXPIRE', waiters, ARGV[4])
  return 'waits'
end
redis.call('SET', key, id, 'EX', ARGV[4])
redis.call('HSET', job(id), 'holds', concept)
return 'learns'
"""
)

# ARGV: id, fence, verdict. Only the latest attempt may do this, also when its job is over.
RELEASE = (
    _PRELUDE
    + """
local concept = value(id, 'holds')
local key, waiters = P .. 'learner:' .. concept, P .. 'waiters:' .. concept
if concept == '' or value(id, 'fence') ~= ARGV[2] then return {} end
if redis.call('GET', key) ~= id then return {} end
redis.call('DEL', key)
redis.call('HSET', job(id), 'holds', '')
local woken = {}
for _, waiter in ipairs(redis.call('SMEMBERS', waiters)) do
  if value(waiter, 'state') == 'queued' and value(waiter, 'waits_for') == concept then
    redis.call('HSET', job(waiter), 'verdict', ARGV[3])
    change(waiter, 'waits_for', '')
    enqueue(waiter)
    woken[#woken + 1] = waiter
  end
end
redis.call('DEL', waiters)
return woken
"""
)

# ARGV: id, tenant, user, state, artifacts, identity, failure, seconds to keep it, seconds to keep its events.
FINISH = (
    _PRELUDE
    + """
if not owned(id, ARGV[2], ARGV[3]) then return false end
local state = value(id, 'state')
if state == 'queued' or state == 'running' then
  leave(id)
  redis.call('ZREM', due_of(id), id)
  redis.call('ZREM', deadlines, id)
  redis.call('SREM', P .. 'open:' .. owner(id), id)
  change(id, 'state', ARGV[4], 'artifacts', ARGV[5], 'identity', ARGV[6], 'failure', ARGV[7], 'waits_for', '')
  if value(id, 'webhook') == '1' then redis.call('ZADD', P .. 'outbox', 'NX', now_ms, id) end
  redis.call('EXPIRE', job(id), ARGV[8])
  redis.call('EXPIRE', P .. 'events:' .. id, ARGV[9])
end
return answer(id)
"""
)

# ARGV: id, tenant, user. Answers whether a worker held it, and what it was learning.
ERASE = (
    _PRELUDE
    + """
if not owned(id, ARGV[2], ARGV[3]) then return { 0, '' } end
local running, holds, waits_for = value(id, 'state') == 'running', value(id, 'holds'), value(id, 'waits_for')
leave(id)
redis.call('ZREM', due_of(id), id)
redis.call('ZREM', deadlines, id)
redis.call('ZREM', P .. 'outbox', id)
redis.call('HDEL', P .. 'tries', id)
redis.call('SREM', P .. 'open:' .. owner(id), id)
if waits_for ~= '' then redis.call('SREM', P .. 'waiters:' .. waits_for, id) end
if holds ~= '' and redis.call('GET', P .. 'learner:' .. holds) == id then redis.call('DEL', P .. 'learner:' .. holds) end
redis.call('DEL', job(id), P .. 'events:' .. id)
redis.call('PUBLISH', P .. 'changes', id)
return { running and 1 or 0, holds }
"""
)

# ARGV: id, fence, what to add to the attempts.
HAND_BACK = (
    _PRELUDE
    + """
if not held(id, ARGV[2]) then return false end
redis.call('HINCRBY', job(id), 'attempt', ARGV[3])
change(id, 'state', 'queued', 'phase', '', 'step', 0, 'total', 0)
enqueue(id)
return answer(id)
"""
)

# ARGV: id, tenant, user.
CANCEL = (
    _PRELUDE
    + """
if not owned(id, ARGV[2], ARGV[3]) then return false end
local state = value(id, 'state')
if (state == 'queued' or state == 'running') and value(id, 'cancel_requested') ~= '1' then change(id, 'cancel_requested', '1') end
return answer(id)
"""
)

ORPHANS = (
    _PRELUDE
    + """
local due = of_lane('due', '')
requeue_lost(due)
return redis.call('ZRANGEBYSCORE', due, 0, 0, 'LIMIT', 0, PAGE)
"""
)

OVERDUE = (
    _PRELUDE
    + """
local answers = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', deadlines, '-inf', now_ms / 1000, 'LIMIT', 0, PAGE)) do
  if redis.call('EXISTS', job(id)) == 1 then answers[#answers + 1] = answer(id) else redis.call('ZREM', deadlines, id) end
end
return answers
"""
)

# ARGV: '', lease in ms. Answers the job and which try this is.
TAKE_DELIVERY = (
    _PRELUDE
    + """
local outbox = P .. 'outbox'
local first = redis.call('ZRANGEBYSCORE', outbox, '-inf', now_ms, 'LIMIT', 0, 1)[1]
if not first then return false end
redis.call('ZADD', outbox, now_ms + ARGV[2], first)
return { first, redis.call('HINCRBY', P .. 'tries', first, 1) }
"""
)

# ARGV: id, wait in ms: 0 announces it, where it is not waiting already.
PUT_OFF_DELIVERY = (
    _PRELUDE
    + """
return redis.call('ZADD', P .. 'outbox', ARGV[2] == '0' and 'NX' or 'XX', now_ms + ARGV[2], id)
"""
)

# ARGV: id, owner, bound of the owner, bound in all, ms that the place is kept. Answers how many others the owner and all have.
TAKE_PLACE = (
    _PRELUDE
    + """
local all, own = P .. 'places', P .. 'places:' .. ARGV[2]
for _, places in ipairs({ all, own }) do redis.call('ZREMRANGEBYSCORE', places, '-inf', now_ms) end
local of_owner = redis.call('SCARD', P .. 'open:' .. ARGV[2]) + redis.call('ZCARD', own)
local in_all = redis.call('ZCARD', of_lane('due', ARGV[2])) + redis.call('ZCARD', all)
if redis.call('ZSCORE', own, id) or redis.call('SISMEMBER', P .. 'open:' .. ARGV[2], id) == 1 then
  of_owner, in_all = of_owner - 1, in_all - 1
end
if of_owner < tonumber(ARGV[3]) and in_all < tonumber(ARGV[4]) then
  redis.call('ZADD', all, now_ms + ARGV[5], id)
  redis.call('ZADD', own, now_ms + ARGV[5], id)
  redis.call('PEXPIRE', own, ARGV[5])
end
return { of_owner, in_all }
"""
)

# ARGV: preset, weight of the newest, then phases and seconds.
MEASURED = """
local pace = 's2edit:pace:' .. ARGV[1]
for i = 3, #ARGV, 2 do
  local before = tonumber(redis.call('HGET', pace, ARGV[i]) or ARGV[i + 1])
  redis.call('HSET', pace, ARGV[i], string.format('%.4f', before + ARGV[2] * (ARGV[i + 1] - before)))
end
"""

# ARGV: id, tenant, user. Answers the jobs ahead, those that run, and the preset's pace.
OUTLOOK = (
    _PRELUDE
    + """
if not owned(id, ARGV[2], ARGV[3]) then return false end
local who, ahead = owner(id), 0
local rank = redis.call('ZRANK', P .. 'line:' .. who, id)
for _, other in ipairs(redis.call('ZRANGE', of_lane('turns', who), 0, -1)) do
  local line = redis.call('ZCARD', P .. 'line:' .. other)
  if rank and other ~= who then ahead = ahead + math.min(line, rank + 1) end
end
local running = redis.call('ZCOUNT', of_lane('due', who), '(' .. now_ms, '+inf')
return { integer(ahead + (rank or 0)), integer(running), redis.call('HGETALL', P .. 'pace:' .. value(id, 'preset')) }
"""
)

# ARGV: owner, preset. The same for a job that is not there yet.
PROSPECT = (
    _PRELUDE
    + """
local who, ahead = ARGV[1], 0
local rank = redis.call('ZCARD', P .. 'line:' .. who)
for _, other in ipairs(redis.call('ZRANGE', of_lane('turns', who), 0, -1)) do
  if other ~= who then ahead = ahead + math.min(redis.call('ZCARD', P .. 'line:' .. other), rank + 1) end
end
local running = redis.call('ZCOUNT', of_lane('due', who), '(' .. now_ms, '+inf')
return { integer(ahead + rank), integer(running), redis.call('HGETALL', P .. 'pace:' .. ARGV[2]) }
"""
)
