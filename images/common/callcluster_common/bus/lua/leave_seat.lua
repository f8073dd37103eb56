-- Gives the seat up, if it is the claim's.
local seat, claim, uid = KEYS[9], ARGV[1], ARGV[2]
if redis.call('GET', seat) == claim then redis.call('DEL', seat) end
if redis.call('HGET', meta, 'seat') ~= claim then return 0 end
redis.call('HDEL', meta, 'seat')
return append(event(uid, '"sfu"'), '', '')
