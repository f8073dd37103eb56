-- Entries after an offset.
local last = tonumber(ARGV[1])
local found = redis.call('HMGET', meta, 'epoch', 'off')
local top = tonumber(found[2] or 0)
local entries, first = {}, nil
for _, entry in ipairs(redis.call('XRANGE', events, last + 1, '+')) do
  local number = tonumber(string.match(entry[1], '^(%d+)'))
  first = first or number
  entries[#entries + 1] = {number, entry[2][6]}
end
if last ~= top and first ~= last + 1 then entries = false end
return {found[1] or '', top, entries}
