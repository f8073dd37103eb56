-- Stands before every script of a room. Times are milliseconds of Redis's own clock.
local meta, events, members, owners = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local people, leases, bans, channel = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local LEASE_MS, ROOM_MS, HISTORY_MS, HISTORY_ENTRIES = 30000, 300000, 120000, 1024

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Numbers a line, keeps it and pushes it.
local function append(line, sender, request)
  local off = redis.call('HINCRBY', meta, 'off', 1)
  redis.call('XADD', events, 'MAXLEN', '~', HISTORY_ENTRIES, off .. '-0', 'f', sender, 'i', request, 'e', line)
  redis.call('PEXPIRE', events, HISTORY_MS)
  redis.call('PUBLISH', channel, redis.call('HGET', meta, 'epoch') .. ' ' .. off .. ' ' .. line)
  return off
end

local function event(uid, rest)
  return '["' .. uid .. '"]\n{"t":"ev","d":{"kind":' .. rest .. '}}'
end

local function left(uid, sid, reason)
  return event(uid, '"left","sid":"' .. sid .. '","reason":"' .. reason .. '"')
end

local function forget(sid)
  redis.call('HDEL', members, sid)
  redis.call('HDEL', owners, sid)
  redis.call('HDEL', people, sid)
  redis.call('ZREM', leases, sid)
end

-- An owner is "<attempt> <claim>"; the claim is empty while the member has no socket.
local function owner_of(sid)
  local owner = redis.call('HGET', owners, sid)
  if not owner then return nil end
  local attempt, claim = string.match(owner, '^(%d+) (.*)$')
  return claim, tonumber(attempt)
end

-- Lets go of members whose lease ran out: first of their socket, then of their place.
local function sweep(uid, keep_ms, time)
  for _, sid in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', time)) do
    local claim, attempt = owner_of(sid)
    if claim and claim ~= '' then
      redis.call('HSET', owners, sid, attempt .. ' ')
      redis.call('ZADD', leases, time + keep_ms, sid)
      append(event(uid, '"reconnecting","sid":"' .. sid .. '"'), '', '')
    else
      forget(sid)
      append(left(uid, sid, 'timeout'), '', '')
    end
  end
end

local function keep()
  for _, key in ipairs({meta, members, owners, people, leases}) do
    redis.call('PEXPIRE', key, ROOM_MS)
  end
end

local function state()
  local found = redis.call('HMGET', meta, 'epoch', 'off', 'locked')
  return {found[1] or '', tonumber(found[2] or 0), found[3] or '0',
          redis.call('HGETALL', members), redis.call('HGETALL', owners)}
end
