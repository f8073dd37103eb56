-- Marks a pod as alive, probes delivery to it, and tells whether its former mark was still there.
-- PEXPIRE comes first: Redis refuses it not even for lack of memory, and no script that has begun to write.
local had = redis.call('PEXPIRE', KEYS[1], ARGV[1])
if had == 0 then redis.call('SET', KEYS[1], '1', 'PX', ARGV[1]) end
redis.call('PUBLISH', ARGV[2], ARGV[3])
return had
