-- KEYS: the journal; the data keys.
-- ARGV: the record; the channel; the number of records to keep.
-- Returns the position of the record before, and of the record, and for each data key 1 when something was there, else 0.
-- The keys are removed first, so that they are gone even if the journal cannot be written. A server that is out of memory
-- refuses XADD unless the script has written before; trimming counts as that, so an invalidation is recorded even then.
local removed = {}
for i = 2, #KEYS do
  removed[i - 1] = redis.call('UNLINK', KEYS[i])
end
redis.call('XTRIM', KEYS[1], 'MAXLEN', '~', ARGV[3])
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local previous = last[1] and last[1][1] or '0-0'
local position = redis.call('XADD', KEYS[1], '*', 'record', ARGV[1])
redis.call('PUBLISH', ARGV[2], previous .. ' ' .. position .. ' ' .. ARGV[1])
return {previous, position, removed}
