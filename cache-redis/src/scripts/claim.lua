-- KEYS: the data key.
-- ARGV: the token of the entry; for how many milliseconds the claim holds.
-- Returns 1 when the entry is there and nobody had a claim on it, 0 when somebody has, 2 when the entry is not there.
-- The entry stays: a claim only says who replaces it. It is part of the entry, so whatever removes the one ends the other.
local head = redis.call('GETRANGE', KEYS[1], 0, 85)
local kind = string.sub(head, 1, 4)
if #head < 86 or kind ~= '\202\195\1V' and kind ~= '\202\195\1N' or string.sub(head, 5, 20) ~= ARGV[1] then
  return 2
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if struct.unpack('>I8', head, 79) > now then
  return 0
end
redis.call('SETRANGE', KEYS[1], 78, struct.pack('>I8', now + ARGV[2]))
return 1
