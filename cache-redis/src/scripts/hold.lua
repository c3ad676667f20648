-- KEYS: the data key; its fences, unless the caller asks for them afterwards.
-- ARGV: the lease of a value that is about to be stored; its time to live in milliseconds; the version of the value.
-- Returns 1 when the lease took the place of what was there, 0 when a value of a newer version is there, 2 when the key is
-- fenced, 3 when the lease of a newer version is there, of which there may be no record yet. Such a lease has a flag of 2 and
-- begins its token with the version, so that of two writers the newer one wins.
local found = redis.pcall('GETRANGE', KEYS[1], 0, 77)
local kind = type(found) == 'string' and string.sub(found, 1, 4)
local there, newer = '\0\0\0\0\0\0\0\0', 0
if (kind == '\202\195\2V' or kind == '\202\195\2N') and #found == 78 then
  there = string.sub(found, 71, 78)
elseif kind == '\202\195\2L' and #found == 21 and string.byte(found, 21) >= 2 then
  there, newer = string.sub(found, 5, 12), 3
end
if ARGV[3] ~= '\0\0\0\0\0\0\0\0' then
  -- Byte by byte: as a number it would lose the last of 64 bits.
  for i = 1, 8 do
    local theirs, ours = string.byte(there, i), string.byte(ARGV[3], i)
    if theirs > ours then
      return newer
    elseif theirs < ours then
      break
    end
  end
end
if KEYS[2] and redis.call('EXISTS', KEYS[2]) == 1 then
  -- As in put.lua.
  redis.call('UNLINK', KEYS[1])
  return 2
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
