-- KEYS: the data key.
-- ARGV: the lease without its flag; the channel; what to announce there.
-- Returns 1 when the key held the lease, else 0.
local held = redis.call('GETRANGE', KEYS[1], 0, 20)
if string.sub(held, 1, 20) ~= ARGV[1] then
  return 0
end
redis.call('UNLINK', KEYS[1])
if string.byte(held, 21) % 2 == 1 then
  redis.call('PUBLISH', ARGV[2], ARGV[3])
end
return 1
