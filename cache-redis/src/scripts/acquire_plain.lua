-- KEYS: the data key; its fences.
-- ARGV: the lease; its time to live in milliseconds; 'over' if whatever value is there may be replaced, else an empty string.
-- Returns 1 when the lease was put, 0 when another lease is there, 2 when the key is fenced, else the value that is there and
-- for how many milliseconds it holds, -1 if for ever. Any bytes that are no lease are a value.
local found = redis.call('GET', KEYS[1])
if found and string.sub(found, 1, 4) == '\202\195\2L' and #found == 21 then
  redis.call('SETRANGE', KEYS[1], 20, string.byte(found, 21) < 2 and '\1' or '\3')
  return 0
end
if found and ARGV[3] ~= 'over' then
  return {found, redis.call('PTTL', KEYS[1])}
end
if redis.call('EXISTS', KEYS[2]) == 1 then
  return 2
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
