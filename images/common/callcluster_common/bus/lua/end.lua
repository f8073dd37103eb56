-- Takes everybody out. No pod may bring members back from before.
if redis.call('HLEN', members) == 0 then return 0 end
forget_all()
redis.call('HSET', meta, 'former', '')
return append(ARGV[1], ARGV[2], ARGV[3])
