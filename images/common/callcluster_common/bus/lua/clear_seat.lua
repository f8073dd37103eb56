-- Empties a seat whose lease ran out.
local seat, uid = KEYS[9], ARGV[1]
if redis.call('EXISTS', seat) == 1 or redis.call('HDEL', meta, 'seat') == 0 then return 0 end
return append(event(uid, '"sfu"'), '', '')
