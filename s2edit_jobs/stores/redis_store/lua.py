"""What the scripts share: the keys and the functions that several of them call.

Keys (all under `s2edit:`)
    job:<id>          hash: the record, one field per value; and `fence`, `holds` (the concept it learns), `verdict`
    events:<id>       stream: the record after each change; an entry's id is `<sequence>-0`
    due               sorted set: unfinished jobs, by the millisecond at which their lease ends; 0: queued
    line:<owner>      sorted set: that owner's queued jobs, oldest first
    turns             sorted set: owners with queued jobs, by when they were served last (round-robin)
    turn              counter: the latest of these
    open:<owner>      set: that owner's unfinished jobs
    slots             sorted set: jobs that are being accepted, by the millisecond at which their queue slot ends
    slots:<owner>     the same, of that owner
    deadlines         sorted set: jobs with a deadline, by it
    learner:<concept> string: the job that learns it; it counts until that job is over
    waiters:<concept> set: jobs that wait for it
    outbox            sorted set: jobs whose end is to be sent, by the millisecond at which the next try is due
    tries             hash: how many tries there were
    task:<name>       string: the millisecond at which the periodic task is due again
    due:test, turns:test  the same for jobs of test mode, which never hold up a worker of live jobs
    pace:<preset>     hash: means of measured seconds, by phase
    spent:<tenant>:<day>  hash: what the tenant used on that day since 1970
    refusals          hash: refusals by field
    life, restored    strings: the generation of this database, and the one that has all jobs
    rates…            the counts of requests, written by the API's rate limiter
"""

from __future__ import annotations

from s2edit_jobs.records.record import TEST_TENANT_PREFIX
from s2edit_jobs.stores.job_store import KEEP_EVENTS, PAGE

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
"""The fields of a record that change. Every event holds them, besides the sequence."""
LOOK_MS = 2000
"""How often a waiting job's learner is checked: it may have ended without releasing the concept."""

_FIELD_LIST = ", ".join(f"'{name}'" for name in FIELDS)

# `KEYS` is empty: one Redis holds all keys, and the scripts find most names while they run.
_PRELUDE = f"""
local P = 's2edit:'
local LOOK_MS = {LOOK_MS}
local PAGE = {PAGE}
local deadlines = P .. 'deadlines'
local now_ms = tonumber(ARGV[1])
if not now_ms then
  local time = redis.call('TIME')
  now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
end
local function integer(number) return string.format('%d', number) end
local function job(id) return P .. 'job:' .. id end
local function value(id, name) return redis.call('HGET', job(id), name) or '' end
local function owner(id) return value(id, 'tenant') .. '/' .. value(id, 'user') end
local function answer(id) return redis.call('HGETALL', job(id)) end
local function owned(id, tenant, user) return value(id, 'tenant') == tenant and value(id, 'user') == user end
local function held(id, fence) return value(id, 'state') == 'running' and value(id, 'fence') == fence end
local function is_test(who) return string.sub(who, 1, {len(TEST_TENANT_PREFIX)}) == '{TEST_TENANT_PREFIX}' end
local function of_queue(name, who) return P .. name .. (is_test(who) and ':test' or '') end
local function due_of(id) return of_queue('due', owner(id)) end

local function log(id)  -- append the present record to its events
  local entry = {{}}
  local names = {{ {_FIELD_LIST} }}
  for i, got in ipairs(redis.call('HMGET', job(id), unpack(names))) do
    entry[#entry + 1] = names[i]
    entry[#entry + 1] = got or ''
  end
  local events, sequence = P .. 'events:' .. id, value(id, 'sequence')
  redis.call('XADD', events, 'MAXLEN', '~', {KEEP_EVENTS}, sequence .. '-0', unpack(entry))
  redis.call('PUBLISH', P .. 'changes', id)
end

local function change(id, ...)  -- set fields and publish the change
  redis.call('HSET', job(id), 'updated_at', string.format('%.3f', now_ms / 1000), ...)
  redis.call('HINCRBY', job(id), 'sequence', 1)
  log(id)
end

local function enqueue(id, first)  -- `first`: the job has had its turn and lost its worker
  local who = owner(id)
  local turns = of_queue('turns', who)
  redis.call('ZADD', P .. 'line:' .. who, 0, id)
  if first then
    local front = redis.call('ZRANGE', turns, 0, 0, 'WITHSCORES')[2]
    redis.call('ZADD', turns, integer(tonumber(front or 0) - 1), who)
  elseif not redis.call('ZSCORE', turns, who) then redis.call('ZADD', turns, redis.call('INCR', P .. 'turn'), who) end
  redis.call('ZADD', of_queue('due', who), 0, id)
end

local function leave(id)  -- the job is no longer in the queue
  local who = owner(id)
  redis.call('ZREM', P .. 'line:' .. who, id)
  if redis.call('ZCARD', P .. 'line:' .. who) == 0 then redis.call('ZREM', of_queue('turns', who), who) end
end

local function learner(concept)  -- the unfinished job that has reserved it; '' if none
  local at = redis.call('GET', P .. 'learner:' .. concept) or ''
  local state = value(at, 'state')
  return (state == 'queued' or state == 'running') and value(at, 'holds') == concept and at or ''
end

local function requeue_lost(due)  -- jobs that have lost their worker, or the learner that they waited for
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

local function jobs_ahead(who, rank)  -- of other owners, before this owner's job with `rank` others before it
  local ahead = 0
  for _, other in ipairs(redis.call('ZRANGE', of_queue('turns', who), 0, -1)) do
    if other ~= who then ahead = ahead + math.min(redis.call('ZCARD', P .. 'line:' .. other), rank + 1) end
  end
  return ahead
end
"""


def script(body: str, parameters: str = "") -> str:
    """Return the Lua of one transition, for `Connection.run`. `parameters` names its arguments: `"id, fence"`."""
    names = f"local {parameters} = unpack(ARGV, 2)\n" if parameters else ""
    return f"{_PRELUDE}{names}{body}"
