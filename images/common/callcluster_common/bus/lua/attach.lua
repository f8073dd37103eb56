-- Gives a member's place to a new socket, with what it missed.
local sid, claim, attempt, line, epoch, off = unpack(ARGV)
local previous, newest = owner_of(sid)
if not previous then return {'gone'} end
if newest > tonumber(attempt) then return {'replaced'} end
redis.call('HSET', owners, sid, attempt .. ' ' .. claim)
redis.call('ZADD', leases, now() + LEASE_MS, sid)
local found = redis.call('HMGET', meta, 'off', 'epoch', 'former', 'base')
local last, top, base = tonumber(off), tonumber(found[1]), tonumber(found[4])
local recovered, since = found[2] == epoch, last
if not recovered and epoch ~= '' and found[3] == epoch then
  -- It knows the epoch that was lost: what it needs is all that came after that.
  recovered, since = last == base, base
elseif not recovered then
  since = top
end
-- Whether a line is for everybody, or for this member: its head names the recipient.
local function concerns(kept)
  local fine, head = pcall(cjson.decode, string.match(kept, '^[^\n]*'))
  return fine and type(head) == 'table' and (not head[3] or head[3] == '' or head[3] == sid)
end

local missed, requests, first = {}, {}, nil
for _, entry in ipairs(redis.call('XRANGE', events, '-', '+')) do
  local number = tonumber(string.match(entry[1], '^(%d+)'))
  local sender, request, kept = entry[2][2], entry[2][4], entry[2][6]
  first = first or number
  if number > since and concerns(kept) then missed[#missed + 1] = {number, kept} end
  if sender == sid and request ~= '' then requests[#requests + 1] = request end
end
local whole = since == top or (since < top and first and first <= since + 1)
local appended = append(line, sid, '')
if not whole then recovered = false end
if not whole or (not recovered and since == top) then since, missed = appended, {} end
keep()
return {'ok', state(), recovered and 1 or 0, since, missed, requests, previous}
