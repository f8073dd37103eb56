-- Takes everybody out.
if redis.call('HLEN', members) == 0 then return 0 end
redis.call('DEL', members, owners, people, leases)
return append(ARGV[1], ARGV[2], ARGV[3])
