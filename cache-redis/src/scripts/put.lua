-- KEYS: the journal; the data key.
-- ARGV: the record; the channel; the number of records to keep; the entry; its time to live in milliseconds; the time in
-- milliseconds from which on the caller has given up.
-- Returns the position of the record before, and of the record.
-- A caller that has given up has the key invalidated; a value that was stored after that would stay.
local now = redis.call('TIME')
if now[1] * 1000 + now[2] / 1000 > tonumber(ARGV[6]) then
  return redis.error_reply('LATE the caller has given up')
end
-- The record comes first, because its position is the entry's birth. Numbers in Lua are doubles: positions are exact up
-- to 2^53, which the server's clock reaches in the year 287396.
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local previous = last[1] and last[1][1] or '0-0'
local position = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'record', ARGV[1])
local millis, sequence = string.match(position, '^(%d+)-(%d+)$')
local birth = struct.pack('>I8I8', tonumber(millis), tonumber(sequence))
local entry = string.sub(ARGV[4], 1, 54) .. birth .. string.sub(ARGV[4], 71)
redis.call('SET', KEYS[2], entry, 'PX', ARGV[5])
redis.call('PUBLISH', ARGV[2], previous .. ' ' .. position .. ' ' .. ARGV[1])
return {previous, position}
