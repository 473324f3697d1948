"""What the scripts share: the keys and the functions that several of them call.

Keys (all under `s2edit:`)
    job:<id>          hash: the record, one field per value; and `fence`, `holds` (the concept it learns), `verdict`,
                      `device_faults`; `learning_booked`, once a learning of it counts among those of its tenant; `term_ms`, for
                      how long its present lease or delay lasts at most
    events:<id>       stream: the record after each change; an entry's id is `<sequence>-0`
    preview:<owner>:<id>  hash: the latest preview of the job: `number`, `picture`; kept for minutes after it was drawn
    due               sorted set: unfinished jobs, by the millisecond at which their lease ends; 0: queued
    line:<owner>      sorted set: that owner's queued jobs, oldest first
    turns             sorted set: tenants with queued jobs, by when they were served last (round-robin)
    users:<tenant>    sorted set: that tenant's owners with queued jobs, by when they were served last (round-robin)
    turn              counter: the latest of these
    open:<owner>      set: that owner's unfinished jobs; open:<tenant> the same, of a tenant
    slots             sorted set: jobs that are being accepted, by the millisecond at which their queue slot ends
    slots:<owner>     the same, of that owner; slots:<tenant> of a tenant
    deadlines         sorted set: jobs with a deadline, by it
    learner:<concept> string: the job that learns it; it counts until that job is over
    waiters:<concept> set: jobs that wait for it
    outbox            sorted set: jobs whose end is to be sent, by the millisecond at which the next try is due
    tries             hash: how many tries there were
    announced         hash: the tenant of each whose record was lost
    sending:<tenant>  sorted set: those of them that are being sent, by the millisecond at which the sender's lease ends
    parked:<tenant>   sorted set: those that wait for one of these, oldest first
    task:<name>       string: the millisecond at which the periodic task is due again; kept for a minute longer. `/readyz` of the
                      API writes `task:readyz`, to see whether Redis takes writes
    due:test, turns:test  the same for jobs of test mode, which never hold up a worker of live jobs
    pace:<preset>     hash: means of measured seconds, by phase; workers write them, the API estimates `eta_s` from them; 30 days
    spent:<tenant>:<day>  hash: what the tenant used on that day since 1970; kept for 2 days
    stored:<tenant>   hash: the bytes that the tenant stores: as last measured, and what was booked since
    measure           sorted set: tenants to be measured, by the millisecond at which that is due
    refusals          hash: refusals by field; kept
    life              string: the generation of this database, a new id after each loss
    restored          string: the generation that has all jobs
    settled           string: the generation whose jobs were compared with the object store
    alive:housekeeper  string: when a reaper last completed an iteration, for `/metrics` of the API and `s2edit doctor`
    store             string: the id of the object store, for processes that start while it is away (`object_store_id`)
    rates…            the counts of requests per user and tenant, written by the API's rate limiter; kept for minutes

Any of these may be missing: a server may evict keys, and people delete some by hand. A script that meets an id without an intact
record drops it and overwrites `restored`. The reaper then enters all unfinished jobs again from the object store, and
`Records.add` completes the places of those that are still known. So a loss delays one job and blocks no other. A sweep enters the
webhooks of an outbox that was deleted.
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
LOGGED = (*FIELDS, "preview")
"""The fields of an event. Records of earlier releases lack the last one."""
WHOLE = ("sequence", "step", "total", "attempt")
"""The fields that are whole numbers."""
TIMES = ("created_at", "updated_at")
REQUIRED = ("id", "tenant", "user", "sequence", "created_at", *FIELDS, "preset", "deadline_at", "webhook")
"""The fields that a record must have: those of every release so far."""
RESERVED_S = 7 * 24 * 3600
"""How long a reservation is kept that nobody ends. It counts for nothing once its job is over."""
LOOK_MS = 2000
"""How often a waiting job's learner is checked: it may have ended without releasing the concept."""
UNKNOWN_LEASE_MS = 60_000
"""How long a running job whose lease is missing is left to its worker, which would renew it."""


def _strings(names: tuple[str, ...]) -> str:
    """Return the names as the items of a Lua table."""
    return ", ".join(f"'{name}'" for name in names)


# `KEYS` is empty: one Redis holds all keys, and the scripts find most names while they run.
_PRELUDE = f"""
local P = 's2edit:'
local LOOK_MS = {LOOK_MS}
local UNKNOWN_LEASE_MS = {UNKNOWN_LEASE_MS}
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
local function tenant_of(who) return string.match(who, '^[^/]*') end
local function users_of(who) return P .. 'users:' .. tenant_of(who) end
local function preview_of(id, who) return P .. 'preview:' .. who .. ':' .. id end
local function answer(id) return redis.call('HGETALL', job(id)) end

local function is_object(text)
  local read, value = pcall(cjson.decode, text)
  return read and type(value) == 'table'
end

local function intact(id)  -- whether the record is there and can be read
  local names = {{ {_strings(REQUIRED)} }}
  local got = redis.pcall('HMGET', job(id), unpack(names))
  if got.err then return false end
  local record = {{}}
  for i, name in ipairs(names) do
    if not got[i] then return false end
    record[name] = got[i]
  end
  if not ({{ queued = 1, running = 1, succeeded = 1, failed = 1, canceled = 1 }})[record.state] then return false end
  for _, name in ipairs({{ {_strings(WHOLE)} }}) do if not string.match(record[name], '^-?%d+$') then return false end end
  for _, name in ipairs({{ {_strings(TIMES)} }}) do if not tonumber(record[name]) then return false end end
  if record.id ~= id then return false end
  if record.deadline_at ~= '' and not tonumber(record.deadline_at) then return false end
  return is_object(record.artifacts) and (record.failure == '' or is_object(record.failure))
end

local function unfinished(id)
  local state = value(id, 'state')
  return state == 'queued' or state == 'running'
end
local function owned(id, tenant, user) return intact(id) and value(id, 'tenant') == tenant and value(id, 'user') == user end
local function held(id, fence) return intact(id) and value(id, 'state') == 'running' and value(id, 'fence') == fence end
local function is_test(who) return string.sub(who, 1, {len(TEST_TENANT_PREFIX)}) == '{TEST_TENANT_PREFIX}' end
local function of_queue(name, who) return P .. name .. (is_test(who) and ':test' or '') end
local function due_of(id) return of_queue('due', owner(id)) end

local function log(id)  -- append the present record to its events
  local entry = {{}}
  local names = {{ {_strings(LOGGED)} }}
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

local function next_turn(turns)  -- later than all others, also if the counter was lost
  local last = tonumber(redis.call('ZREVRANGE', turns, 0, 0, 'WITHSCORES')[2] or 0)
  local turn = redis.call('INCR', P .. 'turn')
  if turn <= last then
    turn = last + 1
    redis.call('SET', P .. 'turn', integer(turn))
  end
  return integer(turn)
end

local function take_turn(turns, name, first)
  if first then
    local front = redis.call('ZRANGE', turns, 0, 0, 'WITHSCORES')[2]
    redis.call('ZADD', turns, integer(tonumber(front or 0) - 1), name)
  elseif not redis.call('ZSCORE', turns, name) then redis.call('ZADD', turns, next_turn(turns), name) end
end

local function enqueue(id, first)  -- `first`: the job has had its turn and lost its worker
  local who = owner(id)
  redis.call('ZADD', P .. 'line:' .. who, 0, id)
  take_turn(users_of(who), who, first)
  take_turn(of_queue('turns', who), tenant_of(who), first)
  redis.call('ZADD', of_queue('due', who), 0, id)
end

local function leave_line(id, who)
  redis.call('ZREM', P .. 'line:' .. who, id)
  if redis.call('EXISTS', P .. 'line:' .. who) == 0 then redis.call('ZREM', users_of(who), who) end
  if redis.call('EXISTS', users_of(who)) == 0 then redis.call('ZREM', of_queue('turns', who), tenant_of(who)) end
end
local function leave(id) leave_line(id, owner(id)) end  -- the job is no longer in the queue

local function remove(id, who)  -- all but its webhook
  leave_line(id, who)
  for _, set in ipairs({{ 'due', 'due:test', 'deadlines' }}) do redis.call('ZREM', P .. set, id) end
  for _, open in ipairs({{ who, tenant_of(who) }}) do redis.call('SREM', P .. 'open:' .. open, id) end
  redis.call('DEL', job(id), P .. 'events:' .. id, preview_of(id, who))
  redis.call('PUBLISH', P .. 'changes', id)
end

local function leave_slots(id, who)
  for _, slots in ipairs({{ 'slots', 'slots:' .. who, 'slots:' .. tenant_of(who) }}) do redis.call('ZREM', P .. slots, id) end
end

local function drop(id, who)  -- its record is missing or damaged: have the job entered again from the object store
  remove(id, who or (redis.call('TYPE', job(id)).ok == 'hash' and owner(id) or ''))
  redis.call('SET', P .. 'restored', 'jobs are missing', 'XX')
end

local function learner(concept)  -- the unfinished job that has reserved it; '' if none
  local at = redis.call('GET', P .. 'learner:' .. concept) or ''
  return unfinished(at) and value(at, 'holds') == concept and at or ''
end

local function complete(id)  -- put an unfinished job into the indexes where it is missing
  local who, waits_for, due = owner(id), value(id, 'waits_for'), due_of(id)
  for _, open in ipairs({{ who, tenant_of(who) }}) do redis.call('SADD', P .. 'open:' .. open, id) end
  local deadline = value(id, 'deadline_at')
  if tonumber(deadline) then redis.call('ZADD', deadlines, deadline, id) end
  if value(id, 'state') == 'running' then
    redis.call('ZADD', due, 'NX', now_ms + UNKNOWN_LEASE_MS, id)  -- its worker renews the lease, unless it has died
  elseif waits_for ~= '' then
    redis.call('SADD', P .. 'waiters:' .. waits_for, id)
    redis.call('EXPIRE', P .. 'waiters:' .. waits_for, {RESERVED_S})
    redis.call('ZADD', due, 'NX', now_ms + LOOK_MS, id)
  else
    local at, turns = tonumber(redis.call('ZSCORE', due, id) or ''), of_queue('turns', who)
    local placed = redis.call('ZSCORE', P .. 'line:' .. who, id) and redis.call('ZSCORE', users_of(who), who)
      and redis.call('ZSCORE', turns, tenant_of(who))
    if not at or at == 0 and not placed then enqueue(id) end  -- above 0: it comes back to the queue by itself, then
  end
end

local function requeue_lost(due)  -- jobs that have lost their worker, or the learner that they waited for
  local ids = redis.call('ZRANGEBYSCORE', due, '(0', now_ms, 'LIMIT', 0, PAGE)
  for i = #ids, 1, -1 do  -- so the one that is lost longest comes to the front last
    local id = ids[i]
    if not intact(id) then
      drop(id)
    elseif not unfinished(id) then
      redis.call('ZREM', due, id)
    else
      local waits_for, lost = value(id, 'waits_for'), value(id, 'state') == 'running'
      local learns = waits_for ~= '' and learner(waits_for) or ''
      if learns ~= '' and intact(learns) then
        complete(learns)
        redis.call('ZADD', due, now_ms + LOOK_MS, id)
      else
        change(id, 'state', 'queued', 'phase', '', 'step', 0, 'total', 0, 'waits_for', '')
        enqueue(id, lost)
      end
    end
  end
end

local function shorten_leases(due)  -- leases and delays that end later than they can, because the server's clock was set back
  for _, id in ipairs(redis.call('ZREVRANGEBYSCORE', due, '+inf', '(' .. integer(now_ms + UNKNOWN_LEASE_MS), 'LIMIT', 0, PAGE)) do
    local term_ms = intact(id) and tonumber(value(id, 'term_ms'))  -- nil: an earlier release has claimed it
    local latest = now_ms + math.max(term_ms or 0, UNKNOWN_LEASE_MS)
    if term_ms and tonumber(redis.call('ZSCORE', due, id)) > latest then redis.call('ZADD', due, integer(latest), id) end
  end
end

local function check_queued(due)  -- a page of the jobs that a worker could claim: drop those without a record, place the others
  local ids = {{}}
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', due, 0, 0, 'LIMIT', 0, PAGE)) do
    if not intact(id) then
      drop(id)
    elseif value(id, 'state') == 'queued' and value(id, 'waits_for') == '' then
      complete(id)
      ids[#ids + 1] = id
    else
      redis.call('ZREM', due, id)
      if unfinished(id) then complete(id) end
    end
  end
  return ids
end
"""


# For a full memory, Redis refuses a script only at its first write, and only if that write needs memory. So scripts that grow the
# data begin with such a write, and scripts that make room begin with a deletion.


def script(body: str, parameters: str = "") -> str:
    """Return the Lua of one transition, for `Connection.run`. `parameters` names its arguments: `"id, fence"`."""
    names = f"local {parameters} = unpack(ARGV, 2)\n" if parameters else ""
    return f"{_PRELUDE}{names}{body}"
