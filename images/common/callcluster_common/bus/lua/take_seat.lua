-- Gives the seat to an SFU. The room's record of it stays until it is left or cleared; the key is its lease.
local seat, claim, uid, ttl = KEYS[9], ARGV[1], ARGV[2], ARGV[3]
local holder = redis.call('GET', seat)
if redis.call('HLEN', members) == 0 or (holder and holder ~= claim) then return false end
local known = redis.call('HGET', meta, 'seat') == claim
redis.call('SET', seat, claim, 'PX', ttl)
if not known then
  redis.call('HSET', meta, 'seat', claim)
  append(event(uid, '"sfu","sfu":"' .. claim .. '"'), '', '')
end
return state()
