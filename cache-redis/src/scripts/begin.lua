-- KEYS: the journal; the rules.
-- ARGV: the record of a beginning; the channel; the number of records to keep.
-- Makes the rules if they are not there. They may never have been, or may be lost, so everything born before is void.
if redis.call('HEXISTS', KEYS[2], 'cleared') == 1 then
  return 0
end
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local previous = last[1] and last[1][1] or '0-0'
local position = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'record', ARGV[1])
redis.call('HSET', KEYS[2], 'cleared', position)
redis.call('PUBLISH', ARGV[2], previous .. ' ' .. position .. ' ' .. ARGV[1])
return 1
