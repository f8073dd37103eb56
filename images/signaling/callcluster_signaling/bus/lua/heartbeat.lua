-- Marks a pod as alive, probes delivery to it, and tells whether its former mark was still there.
local had = redis.call('EXISTS', KEYS[1])
redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
redis.call('PUBLISH', ARGV[2], ARGV[3])
return had
