-- KEYS: the data key; its fences, unless the caller asks for them afterwards.
-- ARGV: the lease; its time to live in milliseconds; the token of the entry that may be replaced, or an empty string.
-- Returns 1 when the lease was put, 0 when another lease is there, 2 when the key is fenced, else the entry that is there.
-- Bytes that are none of these are replaced: garbage must not keep a key from being filled.
local found = redis.call('GET', KEYS[1])
if found and string.sub(found, 1, 3) == '\202\195\2' then
  local kind = string.sub(found, 4, 4)
  if kind == 'L' and #found == 21 then
    -- One under a fence is not to be waited for: its value is being written to the source.
    if KEYS[2] and redis.call('EXISTS', KEYS[2]) == 1 then
      return 2
    end
    redis.call('SETRANGE', KEYS[1], 20, string.byte(found, 21) < 2 and '\1' or '\3')
    return 0
  end
  if (kind == 'V' or kind == 'N') and #found >= 90 and string.sub(found, 5, 20) ~= ARGV[3] then
    return found
  end
end
if KEYS[2] and redis.call('EXISTS', KEYS[2]) == 1 then
  return 2
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
