-- KEYS: the journal; its last position; the data key; its fences.
-- ARGV: the record; the channel; the number of records to keep; the entry; its time to live in milliseconds; the time in
-- milliseconds from which on the caller has given up; the token of the fence; the lease without its flag.
-- Returns the position of the record before, and of the record, and 1 when the entry was stored, else 0.
-- The lease went with whatever else has happened to the key since it was put, and with it the right to store. But a tag removes
-- nothing, and a scan may have yet to come: the entry keeps the birth that it brings, of before the write, so that their record
-- voids it.
local now = redis.call('TIME')
if now[1] * 1000 + now[2] / 1000 > tonumber(ARGV[6]) then
  return redis.error_reply('LATE the caller has given up')
end
local stored = redis.call('GETRANGE', KEYS[3], 0, 19) == ARGV[8] and 1 or 0
lift(KEYS[4], ARGV[7])
if redis.call('EXISTS', KEYS[4]) == 1 then
  stored = 0
end
local previous, position = append(KEYS[1], KEYS[2], ARGV[1], ARGV[3])
if stored == 1 then
  redis.call('SET', KEYS[3], ARGV[4], 'PX', ARGV[5])
else
  redis.call('UNLINK', KEYS[3])
end
redis.call('PUBLISH', ARGV[2], previous .. ' ' .. position .. ' ' .. ARGV[1])
return {previous, position, stored}
