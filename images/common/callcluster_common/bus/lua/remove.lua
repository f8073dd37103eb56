-- Takes a member out, and bans it where asked. Without a claim it is a kick: a pod that is cut off meanwhile
-- must not bring the member back.
local sid, claim, line, sender, request, ban_ms = unpack(ARGV)
local current = owner_of(sid)
if not current or (claim ~= '' and current ~= claim) then return 0 end
if claim == '' then refuse(sid, ROOM_MS) end
if tonumber(ban_ms) > 0 then
  local user, jti = string.match(redis.call('HGET', people, sid) or '  ', '^(%S*) %S* (%S*)$')
  for _, id in ipairs({user, jti}) do
    if id ~= '' then refuse(id, tonumber(ban_ms)) end
  end
end
forget(sid)
return append(line, sender, request)
