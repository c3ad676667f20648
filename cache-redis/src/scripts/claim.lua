-- claim
-- KEYS: the data key; its fences, where the key may have writes that the source has yet to see.
-- ARGV: the token of the entry; for how many milliseconds the claim holds.
-- Returns 1 when the entry is there and nobody had a claim on it, 0 when somebody has, 2 when the entry is not there, or is
-- newer than what would be loaded now, since it has yet to reach the source. When whoever had the claim failed, returns for how many milliseconds nobody is to try again, as a negative number.
-- The entry stays: a claim only says who replaces it. It is part of the entry, so whatever removes the one ends the other.
-- The flag says 1 when the end of the claim is waited for, so that it is announced, and 2 when its holder has failed.
local head = redis.call('GETRANGE', KEYS[1], 0, 85)
local kind = string.sub(head, 1, 4)
if #head < 86 or kind ~= '\202\195\2V' and kind ~= '\202\195\2N' or string.sub(head, 5, 20) ~= ARGV[1] then
  return 2
end
if KEYS[2] and redis.call('EXISTS', KEYS[2]) == 1 then
  return 2
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local claimed = struct.unpack('>I8', head, 79)
if claimed > now and string.byte(head, 21) == 2 then
  return now - claimed
end
redis.call('SETRANGE', KEYS[1], 20, claimed > now and '\1' or '\0')
if claimed > now then
  return 0
end
redis.call('SETRANGE', KEYS[1], 78, struct.pack('>I8', now + ARGV[2]))
return 1
