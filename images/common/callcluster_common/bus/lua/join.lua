-- Lets a member in.
local sid, claim, user, cid, jti, member, line, request = unpack(ARGV, 1, 8)
local capacity, moderator, epoch, uid, keep_ms = unpack(ARGV, 9, 13)
local time = now()
-- A room whose last members died with their pod is looked after by nobody until somebody comes.
sweep(uid, tonumber(keep_ms), time)
if refused(time, user, jti) then return {'banned'} end
local former = {}
local who = redis.call('HGETALL', people)
for i = 1, #who, 2 do
  local other_user, other_cid = string.match(who[i + 1], '^(%S*) (%S*)')
  if other_cid == cid then
    if other_user ~= user then return {'duplicate'} end
    former[#former + 1] = who[i]
  end
end
if moderator == '0' and #former == 0 and redis.call('HGET', meta, 'locked') == '1' then
  return {'room_locked'}
end
local present = redis.call('HLEN', members)
if present - #former >= tonumber(capacity) then return {'room_full'} end
if present == 0 then
  redis.call('HSET', meta, 'epoch', epoch, 'locked', '0', 'former', '', 'base', redis.call('HGET', meta, 'off') or 0)
  redis.call('DEL', events)
end
for _, old in ipairs(former) do
  forget(old)
  append(left(uid, old, 'left'), '', '')
end
redis.call('HSET', members, sid, member)
redis.call('HSET', owners, sid, '0 ' .. claim)
redis.call('HSET', people, sid, user .. ' ' .. cid .. ' ' .. jti)
redis.call('ZADD', leases, time + LEASE_MS, sid)
append(line, sid, request)
keep()
return {'ok', state()}
