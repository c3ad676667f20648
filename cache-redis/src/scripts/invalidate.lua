-- KEYS: the journal; the rules; the data keys.
-- ARGV: the record; the channel; the number of records to keep; the token of the fences to lift, or an empty string; the
-- rules that the record makes, by field of the hash.
-- Returns the position of the record before, and of the record, and for each data key 1 when something was there, else 0.
-- The keys are removed first, so that they are gone even if the journal cannot be written. A server that is out of memory
-- refuses to write more unless the script has written before; trimming counts as that, so an invalidation is recorded even
-- then.
local removed = {}
for i = 3, #KEYS do
  local head = redis.pcall('GETRANGE', KEYS[i], 0, 3)
  if head ~= '\202\195\1F' then
    removed[i - 2] = redis.call('UNLINK', KEYS[i])
  else
    removed[i - 2] = 0
    if ARGV[4] ~= '' then
      redis.pcall('XTRIM', KEYS[1], 'MAXLEN', '~', ARGV[3])
      local found, fences = redis.call('GET', KEYS[i]), ''
      for at = 5, #found - 23, 24 do
        if string.sub(found, at, at + 15) ~= ARGV[4] then
          fences = fences .. string.sub(found, at, at + 23)
        end
      end
      if fences == '' then
        redis.call('UNLINK', KEYS[i])
      else
        redis.call('SET', KEYS[i], head .. fences, 'KEEPTTL')
      end
    end
  end
end
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local previous = last[1] and last[1][1] or '0-0'
local position = redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'record', ARGV[1])
if type(position) == 'table' then
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
