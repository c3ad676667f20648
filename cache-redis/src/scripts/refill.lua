-- refill
-- KEYS: the data key.
-- ARGV: the token of the entry that is to be replaced; the entry; its time to live in milliseconds; the channel; what to
-- announce there.
-- Returns 1 when the key held that very entry and now holds the other, else 0.
local head = redis.call('GETRANGE', KEYS[1], 0, 20)
local kind = string.sub(head, 1, 4)
if kind ~= '\202\195\2V' and kind ~= '\202\195\2N' or string.sub(head, 5, 20) ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
if string.byte(head, 21) == 1 then
  redis.call('PUBLISH', ARGV[4], ARGV[5])
end
return 1
