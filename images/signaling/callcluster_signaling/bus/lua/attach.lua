-- Gives a member's place to a new socket, with what it missed.
local sid, claim, attempt, line, epoch, off = unpack(ARGV)
local previous, newest = owner_of(sid)
if not previous then return {'gone'} end
if newest > tonumber(attempt) then return {'replaced'} end
redis.call('HSET', owners, sid, attempt .. ' ' .. claim)
redis.call('ZADD', leases, now() + LEASE_MS, sid)
local found = redis.call('HMGET', meta, 'off', 'epoch', 'former', 'base')
local last, top, base = tonumber(off), tonumber(found[1]), tonumber(found[4])
local same = found[2] == epoch
if not same and found[3] == epoch and last >= base then
  -- It saw all of the epoch that was lost, so it misses what came after.
  same, last = true, base
end
local missed, requests, first = {}, {}, nil
for _, entry in ipairs(redis.call('XRANGE', events, '-', '+')) do
  local number = tonumber(string.match(entry[1], '^(%d+)'))
  local sender, request, kept = entry[2][2], entry[2][4], entry[2][6]
  first = first or number
  if number > last then missed[#missed + 1] = {number, kept} end
  if sender == sid and request ~= '' then requests[#requests + 1] = request end
end
if not same or not (last == top or (last < top and first and first <= last + 1)) then missed = false end
append(line, sid, '')
keep()
return {'ok', state(), missed, requests, previous, last}
