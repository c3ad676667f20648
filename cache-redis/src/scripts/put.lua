-- KEYS: the journal; its last position; the data key; its fences. In a cluster the first two alone: then the caller stores the
-- entry.
-- ARGV: the record; the channel; the number of records to keep; the entry; its time to live in milliseconds; the time in
-- milliseconds from which on the caller has given up; for how many milliseconds near tiers of other nodes may keep the
-- entry, or an empty string if they are not to be sent it; 'plain' if the entry is stored as it is, without a head.
-- Returns the position of the record before, and of the record, and 1 when the entry was stored, 0 when the key is fenced;
-- or nothing but 0 when an entry of a newer version is there.
-- A caller that has given up has the key invalidated; a value that was stored after that would stay.
local now = redis.call('TIME')
if now[1] * 1000 + now[2] / 1000 > tonumber(ARGV[6]) then
  return redis.error_reply('LATE the caller has given up')
end
local plain = ARGV[8] == 'plain'
local version = plain and '\0\0\0\0\0\0\0\0' or string.sub(ARGV[4], 71, 78)
local found = KEYS[3] and version ~= '\0\0\0\0\0\0\0\0' and redis.pcall('GETRANGE', KEYS[3], 0, 77) or ''
local head = #found == 78 and string.sub(found, 1, 4)
if head == '\202\195\2V' or head == '\202\195\2N' then
  -- Byte by byte: as a number it would lose the last of 64 bits.
  for i = 1, 8 do
    local theirs, ours = string.byte(found, 70 + i), string.byte(version, i)
    if theirs > ours then
      return 0
    elseif theirs < ours then
      break
    end
  end
end
-- The record comes first, because its position is the entry's birth. Numbers in Lua are doubles: positions are exact up
-- to 2^53, which the server's clock reaches in the year 287396.
local previous, position = append(KEYS[1], KEYS[2], ARGV[1], ARGV[3])
local message = previous .. ' ' .. position .. ' '
if KEYS[4] and redis.call('EXISTS', KEYS[4]) == 1 then
  -- What is there came under the fence: the lease of a write that must not store its value any more, or a value on its way to the
  -- source, which has another by now.
  redis.call('UNLINK', KEYS[3])
  redis.call('PUBLISH', ARGV[2], message .. ARGV[1])
  return {previous, position, 0}
end
local millis, sequence = string.match(position, '^(%d+)-(%d+)$')
local birth = struct.pack('>I8I8', tonumber(millis), tonumber(sequence))
local entry = plain and ARGV[4] or string.sub(ARGV[4], 1, 54) .. birth .. string.sub(ARGV[4], 71)
if KEYS[3] then
  redis.call('SET', KEYS[3], entry, 'PX', ARGV[5])
end
if ARGV[7] == '' then
  redis.call('PUBLISH', ARGV[2], message .. ARGV[1])
else
  redis.call('PUBLISH', ARGV[2], 'value ' .. message .. ARGV[7] .. ' ' .. #ARGV[1] .. ':' .. ARGV[1] .. entry)
end
return {previous, position, 1}
