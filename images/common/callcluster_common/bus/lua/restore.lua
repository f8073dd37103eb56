-- Rebuilds a room from what one pod knows of it. ARGV: new epoch, known epoch, known offset, lock, ms to keep
-- those without a socket, sids known to be kicked, then for each member: sid, line, claim, what is blocked of its
-- media, and its ids, or "" for another pod's.
local epoch, known_epoch, known_off, locked, keep_ms, kicked = unpack(ARGV, 1, 6)
local found = redis.call('HMGET', meta, 'epoch', 'off', 'former')
local off = tonumber(found[2] or 0)
-- An offset below one that was seen: a failover lost the latest writes.
local lost = not found[1] or (found[1] == known_epoch and off < tonumber(known_off))
-- Another pod has rebuilt what this one knows. In any other epoch its members have no place.
local rebuilt = found[3] == known_epoch
local time = now()
if lost then
  forget_all()
  redis.call('DEL', events)
  off = math.max(off, tonumber(known_off))
  redis.call('HSET', meta, 'epoch', epoch, 'off', off, 'locked', locked, 'former', known_epoch, 'base', off)
end
for sid in string.gmatch(kicked, '%S+') do refuse(sid, ROOM_MS) end
for i = 7, #ARGV, 5 do
  local sid, line, claim, blocked, ids = unpack(ARGV, i, i + 4)
  local own = ids ~= ''
  local user, jti = string.match(ids, '^(%S*) %S* (%S*)$')
  local welcome = not refused(time, sid, user or '', jti or '')
  if welcome and (lost or (own and rebuilt and not owner_of(sid))) then
    redis.call('HSET', members, sid, line)
    redis.call('HSET', owners, sid, '0 ' .. claim)
    redis.call('ZADD', leases, time + (claim == '' and tonumber(keep_ms) or LEASE_MS), sid)
    if not lost then
      append('["' .. claim .. '","' .. sid .. '"]\n{"t":"ev","d":{"kind":"joined","sid":"' .. sid ..
             '","member":' .. line .. '}}', sid, '')
    end
    for media in string.gmatch(blocked, '%S+') do
      block(sid, media, true)
      if not lost then
        append(event(claim, '"blocked","sid":"' .. sid .. '","media":"' .. media .. '","blocked":true'), '', '')
      end
    end
  end
  if own and owner_of(sid) then redis.call('HSET', people, sid, ids) end
end
keep()
-- What came since the epoch began: members of the pod that asks have seen none of it.
local entries, base = {}, tonumber(redis.call('HGET', meta, 'base'))
for _, entry in ipairs(redis.call('XRANGE', events, base + 1, '+')) do
  entries[#entries + 1] = {tonumber(string.match(entry[1], '^(%d+)')), entry[2][6]}
end
return {state(), base, entries}
