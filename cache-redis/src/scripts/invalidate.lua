-- KEYS: the journal; the rules; the data keys; the fences of each of them, if fences are to be lifted.
-- ARGV: the record; the channel; the number of records to keep; the token of the fences to lift, or an empty string; the
-- rules that the record makes, by field of the hash.
-- Returns the position of the record before, and of the record, and for each data key 1 when something was there, else 0.
-- The keys are removed first, so that they are gone even if the journal cannot be written. A server that is out of memory
-- refuses to write more unless the script has written before; trimming counts as that, so an invalidation is recorded even
-- then.
local removed, count = {}, #KEYS - 2
if ARGV[4] ~= '' then
  count = count / 2
  for i = 3 + count, #KEYS do
    redis.call('ZREM', KEYS[i], ARGV[4])
  end
end
for i = 1, count do
  removed[i] = redis.call('UNLINK', KEYS[2 + i])
end
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local previous = last[1] and last[1][1] or '0-0'
local position = redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'record', ARGV[1])
if type(position) == 'table' and position.err then
  redis.call('XTRIM', KEYS[1], 'MAXLEN', '~', ARGV[3])
  position = redis.call('XADD', KEYS[1], '*', 'record', ARGV[1])
end
if #ARGV > 4 then
  -- Rules that are gone may have voided anything; and more of them than there are tags count as a clear as well.
  if ARGV[5] == 'cleared' or redis.call('HEXISTS', KEYS[2], 'cleared') == 0 or redis.call('HLEN', KEYS[2]) > 70000 then
    redis.call('UNLINK', KEYS[2])
    redis.call('HSET', KEYS[2], 'cleared', position)
  end
  for i = 5, #ARGV do
    redis.call('HSET', KEYS[2], ARGV[i], position)
  end
end
redis.call('PUBLISH', ARGV[2], previous .. ' ' .. position .. ' ' .. ARGV[1])
return {previous, position, removed}
