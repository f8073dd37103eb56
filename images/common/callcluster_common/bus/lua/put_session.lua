-- Records a session.
local secret, record, attempt, pod, ttl = unpack(ARGV)
local newest = tonumber(redis.call('HGET', KEYS[1], 'a') or 0)
redis.call('HSET', KEYS[1], 's', secret, 'r', record, 'a', math.max(newest, tonumber(attempt)), 'p', pod)
redis.call('PEXPIRE', KEYS[1], ttl)
return 1
