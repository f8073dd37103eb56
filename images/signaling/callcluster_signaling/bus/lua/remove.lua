-- Takes a member out, and bans it where asked.
local sid, claim, line, sender, request, ban_ms = unpack(ARGV)
local current = owner_of(sid)
if not current or (claim ~= '' and current ~= claim) then return 0 end
if tonumber(ban_ms) > 0 then
  local user, jti = string.match(redis.call('HGET', people, sid) or '  ', '^(%S*) %S* (%S*)$')
  local till = now() + tonumber(ban_ms)
  for _, id in ipairs({user, jti}) do
    if id ~= '' then redis.call('HSET', bans, id, till) end
  end
  if redis.call('PTTL', bans) < tonumber(ban_ms) then redis.call('PEXPIRE', bans, ban_ms) end
end
forget(sid)
return append(line, sender, request)
