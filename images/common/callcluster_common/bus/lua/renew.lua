-- Renews the leases of one pod's members, then lets go of those of the dead.
local uid, keep_ms = ARGV[1], tonumber(ARGV[2])
local time, lost = now(), {}
-- Comes first: PEXPIRE is never refused for lack of memory, nor what follows it. No lease is to run out for that.
keep()
for i = 3, #ARGV, 2 do
  local sid, claim = ARGV[i], ARGV[i + 1]
  local current, attempt = owner_of(sid)
  if current == '' then
    -- Given up while its pod could not renew, and nobody else took it: it is that pod's again.
    redis.call('HSET', owners, sid, attempt .. ' ' .. claim)
    append('["' .. claim .. '","' .. sid .. '"]\n{"t":"ev","d":{"kind":"resumed","sid":"' .. sid .. '"}}', sid, '')
    current = claim
  end
  if current == claim then
    redis.call('ZADD', leases, time + LEASE_MS, sid)
  else
    lost[#lost + 1] = sid
  end
end
sweep(uid, keep_ms, time)
local found = redis.call('HMGET', meta, 'epoch', 'off')
return {found[1] or '', tonumber(found[2] or 0), lost}
