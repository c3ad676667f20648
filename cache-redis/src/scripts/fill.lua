-- KEYS: the data key.
-- ARGV: the lease without its flag; the entry; its time to live in milliseconds; the channel; what to announce there.
-- Returns 1 when the key held the lease and now holds the entry, else 0.
local held = redis.call('GETRANGE', KEYS[1], 0, 20)
if string.sub(held, 1, 20) ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
if string.byte(held, 21) % 2 == 1 then
  redis.call('PUBLISH', ARGV[4], ARGV[5])
end
return 1
