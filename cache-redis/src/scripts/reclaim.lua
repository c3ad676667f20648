-- reclaim
-- KEYS: the data key.
-- ARGV: the token of the entry that the caller has a claim on; for how many milliseconds from now the claim holds; what
-- becomes of it: an empty string when it goes on, else the entry's flag; the channel; what to announce there.
-- Returns 1 when the entry is there, else 0.
local head = redis.call('GETRANGE', KEYS[1], 0, 20)
local kind = string.sub(head, 1, 4)
if kind ~= '\202\195\2V' and kind ~= '\202\195\2N' or string.sub(head, 5, 20) ~= ARGV[1] then
  return 0
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('SETRANGE', KEYS[1], 78, struct.pack('>I8', now + ARGV[2]))
if ARGV[3] ~= '' then
  redis.call('SETRANGE', KEYS[1], 20, ARGV[3])
  if string.byte(head, 21) == 1 then
    redis.call('PUBLISH', ARGV[4], ARGV[5])
  end
end
return 1
