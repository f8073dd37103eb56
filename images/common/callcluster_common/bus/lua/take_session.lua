-- Hands a session to whoever knows its secret, unless a newer attempt has it.
local secret, attempt, pod, ttl = unpack(ARGV)
local found = redis.call('HMGET', KEYS[1], 's', 'r', 'a', 'p')
if found[1] ~= secret then return {'gone'} end
if tonumber(found[3]) > tonumber(attempt) then return {'replaced'} end
redis.call('HSET', KEYS[1], 'a', attempt, 'p', pod)
redis.call('PEXPIRE', KEYS[1], ttl)
return {'ok', found[2], found[4]}
