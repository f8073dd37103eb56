-- Keeps the place of a member whose socket is gone.
local sid, claim, line, keep_ms = unpack(ARGV)
local current, attempt = owner_of(sid)
if current ~= claim then return 0 end
redis.call('HSET', owners, sid, attempt .. ' ')
redis.call('ZADD', leases, now() + tonumber(keep_ms), sid)
return append(line, sid, '')
