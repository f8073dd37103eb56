-- Stands before every script of a room. Times are milliseconds of Redis's own clock.
local meta, events, members, owners = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local people, leases, bans, channel = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local LEASE_MS, ROOM_MS, HISTORY_MS, HISTORY_ENTRIES, HISTORY_BYTES = 30000, 300000, 120000, 1024, 4194304

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Drops the oldest entries while the stream holds too much. Each entry knows the count of bytes up to it.
local function trim(total)
  -- Ends at the newest entry at the latest: there is nothing after it.
  while true do
    for _, entry in ipairs(redis.call('XRANGE', events, '-', '+', 'COUNT', 64)) do
      local upto = tonumber(entry[2][8])
      if not upto or total - upto <= HISTORY_BYTES then return end
      redis.call('XDEL', events, entry[1])
    end
  end
end

-- Numbers a line, keeps it and pushes it.
local function append(line, sender, request)
  local off = redis.call('HINCRBY', meta, 'off', 1)
  local total = redis.call('HINCRBY', meta, 'bytes', #line)
  redis.call('XADD', events, 'MAXLEN', '~', HISTORY_ENTRIES, off .. '-0', 'f', sender, 'i', request, 'e', line, 't', total)
  if off % 16 == 0 then trim(total) end
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

-- What nobody gets of a member's media, in the room's hash: "audio", "video" or "audio video".
local function blocks(sid)
  return redis.call('HGET', meta, 'b:' .. sid) or ''
end

local function block(sid, media, on)
  if redis.call('HEXISTS', members, sid) == 0 then return end
  local before, after = blocks(sid), {}
  for _, kind in ipairs({'audio', 'video'}) do
    local is_blocked = string.find(before, kind, 1, true)
    if kind == media then is_blocked = on end
    if is_blocked then after[#after + 1] = kind end
  end
  if #after == 0 then redis.call('HDEL', meta, 'b:' .. sid)
  else redis.call('HSET', meta, 'b:' .. sid, table.concat(after, ' ')) end
end

local function forget_all()
  for _, sid in ipairs(redis.call('HKEYS', members)) do redis.call('HDEL', meta, 'b:' .. sid) end
  redis.call('DEL', members, owners, people, leases)
end

local function forget(sid)
  redis.call('HDEL', meta, 'b:' .. sid)
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

-- Keeps an id (hashed user or token, or a sid) out for a while.
local function refuse(id, ms)
  redis.call('HSET', bans, id, now() + ms)
  if redis.call('PTTL', bans) < ms then redis.call('PEXPIRE', bans, ms) end
end

local function refused(time, ...)
  for _, id in ipairs({...}) do
    local till = id ~= '' and redis.call('HGET', bans, id)
    if till and tonumber(till) > time then return true end
  end
  return false
end

local function keep()
  for _, key in ipairs({meta, members, owners, people, leases}) do
    redis.call('PEXPIRE', key, ROOM_MS)
  end
end

local function state()
  local found = redis.call('HMGET', meta, 'epoch', 'off', 'locked', 'seat')
  local roster, blocked = redis.call('HGETALL', members), {}
  for i = 1, #roster, 2 do blocked[#blocked + 1] = blocks(roster[i]) end
  return {found[1] or '', tonumber(found[2] or 0), found[3] or '0',
          roster, redis.call('HGETALL', owners), found[4] or '', blocked}
end
