-- Renews the lease of the seat, even one that ran out, unless it was taken or cleared meanwhile.
-- PEXPIRE comes first: Redis refuses it not even for lack of memory.
local seat, claim, ttl = KEYS[9], ARGV[1], ARGV[2]
if redis.call('HGET', meta, 'seat') ~= claim then return 0 end
if redis.call('PEXPIRE', seat, ttl) == 0 then redis.call('SET', seat, claim, 'PX', ttl) end
return 1
