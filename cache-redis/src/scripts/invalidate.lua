-- KEYS: the journal; its last position; the rules; the data keys; the fences of each of them, if fences are to be lifted.
-- ARGV: the record; the channel; the number of records to keep; the token of the fences to lift, or an empty string; the
-- rules that the record makes, by field of the hash.
-- Returns the position of the record before, and of the record, and for each data key 1 when something was there, else 0.
-- The keys are removed first, so that they are gone even if the journal cannot be written. A server that is out of memory
-- refuses to write more unless the script has written before; trimming counts as that, so an invalidation is recorded even
-- then.
local removed, count = {}, #KEYS - 3
if ARGV[4] ~= '' then
  count = count / 2
  for i = 4 + count, #KEYS do
    lift(KEYS[i], ARGV[4])
  end
end
for i = 1, count do
  removed[i] = redis.call('UNLINK', KEYS[3 + i])
end
if count == 0 then
  redis.call('XTRIM', KEYS[1], 'MAXLEN', '~', ARGV[3])
end
local previous, position = append(KEYS[1], KEYS[2], ARGV[1], ARGV[3])
if #ARGV > 4 then
  -- Rules that are gone may have voided anything; and more of them than there are tags count as a clear as well.
  if ARGV[5] == 'cleared' or redis.call('HEXISTS', KEYS[3], 'cleared') == 0 or redis.call('HLEN', KEYS[3]) > 70000 then
    redis.call('UNLINK', KEYS[3])
    redis.call('HSET', KEYS[3], 'cleared', position)
  end
  for i = 5, #ARGV do
    redis.call('HSET', KEYS[3], ARGV[i], position)
  end
end
redis.call('PUBLISH', ARGV[2], previous .. ' ' .. position .. ' ' .. ARGV[1])
return {previous, position, removed}
