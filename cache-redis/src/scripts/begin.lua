-- KEYS: the journal; its last position; the rules.
-- ARGV: the record of a beginning; the channel; the number of records to keep; the two numbers of the latest position
-- that the caller knows of.
-- Makes the rules if they are not there: they may never have been, or may be lost, so everything born before is void.
-- Lets the journal go on behind the position that the caller knows of, should it end before: it has lost its end, or was
-- lost as a whole, and what was born at a lost position must not look younger than what is appended from now on.
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local previous = last[1] and last[1][1] or '0-0'
local millis, sequence = string.match(previous, '^(%d+)-(%d+)$')
local known = {tonumber(ARGV[4]), tonumber(ARGV[5])}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local behind = millis + 0 < known[1] or millis + 0 == known[1] and sequence + 0 < known[2]
local ruled = redis.call('HEXISTS', KEYS[3], 'cleared') == 1
if ruled and not behind then
  return 0
end
-- A server that is out of memory refuses to write more unless the script has written before.
redis.call('XTRIM', KEYS[1], 'MAXLEN', '~', ARGV[3])
local id = '*'
-- A position that is a day ahead of the clock was never given by a server.
if behind and now <= known[1] and known[1] < now + 86400000 then
  id = string.format('%.0f-0', known[1] + 1)
end
local position = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], id, 'record', ARGV[1])
redis.call('SET', KEYS[2], position)
if not ruled then
  redis.call('HSET', KEYS[3], 'cleared', position)
end
redis.call('PUBLISH', ARGV[2], previous .. ' ' .. position .. ' ' .. ARGV[1])
return 1
