-- Appends a line for a member. The only script on the hot path.
local epoch, sid, claim, line, request, change = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local current = redis.call('HGET', meta, 'epoch')
if current ~= epoch then return -2 end
local owner = redis.call('HGET', owners, sid)
if not owner or string.match(owner, ' (.*)$') ~= claim then return -1 end
local kind = string.sub(change, 1, 1)
if kind == 'M' then
  redis.call('HSET', members, sid, string.sub(change, 2))
elseif kind == 'L' then
  redis.call('HSET', meta, 'locked', string.sub(change, 2))
elseif kind == 'B' then
  local on, media, whose = string.match(change, '^B([01])(%S+) (%S+)$')
  block(whose, media, on == '1')
end
return append(line, sid, request)
