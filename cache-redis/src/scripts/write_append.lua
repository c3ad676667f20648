-- KEYS: the journal; its last position; the data key; its fences; the number of its pending writes; the stream; the dead letters.
-- ARGV: the record; the channel; the number of records to keep; the entry, or an empty string if there is none; its time to
-- live in milliseconds; the time in milliseconds from which on the caller has given up; the key; the payload; for how many
-- milliseconds the key is closed to loads; the bound on stream and dead letters; the id of the dead letter in whose place the
-- write is kept, or an empty string.
-- Returns 0 when there are too many writes, 1 when that dead letter is not there, else the position of the record before, and of the record, the id of the write,
-- and 1 when the entry was stored, 0 when somebody is writing around the cache.
-- Among the fences of a key the member "writes" stands for all its pending writes, since there may be many.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[6]) then
  return redis.error_reply('LATE the caller has given up')
end
local bound, dead = tonumber(ARGV[10]), redis.call('XLEN', KEYS[7])
if ARGV[11] ~= '' then
  if #redis.call('XRANGE', KEYS[7], ARGV[11], ARGV[11]) == 0 then
    return 1
  end
  dead = dead - 1
end
if redis.call('XLEN', KEYS[6]) >= bound or dead >= bound then
  return 0
end
if ARGV[11] ~= '' then
  redis.call('XDEL', KEYS[7], ARGV[11])
end
local id = redis.call('XADD', KEYS[6], '*', 'key', ARGV[7], 'payload', ARGV[8])
redis.call('INCR', KEYS[5])
redis.call('PEXPIRE', KEYS[5], ARGV[9])
raise(KEYS[4], 'writes', now, ARGV[9])
local previous, position = append(KEYS[1], KEYS[2], ARGV[1], ARGV[3])
local stored = 0
if ARGV[4] == '' or redis.call('ZCARD', KEYS[4]) > 1 then
  redis.call('UNLINK', KEYS[3])
else
  local millis, sequence = string.match(position, '^(%d+)-(%d+)$')
  local birth = struct.pack('>I8I8', tonumber(millis), tonumber(sequence))
  redis.call('SET', KEYS[3], string.sub(ARGV[4], 1, 54) .. birth .. string.sub(ARGV[4], 71), 'PX', ARGV[5])
  stored = 1
end
redis.call('PUBLISH', ARGV[2], previous .. ' ' .. position .. ' ' .. ARGV[1])
return {previous, position, id, stored}
