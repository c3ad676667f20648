-- KEYS: what says who works on the partition; its stream; the dead letters; the journal; its last position; for each write, its data key,
-- the fences of that and the number of its pending writes.
-- ARGV: the worker; for how many milliseconds it keeps the partition, or 0; for how many nobody takes it, or 0; 1 if the
-- writes are to be put aside; the channel; the number of records to keep; for each write, its id, and the record that voids
-- its key.
-- Returns 1 when the partition was the worker's, else 0 and does nothing.
-- A key is voided if its write is put aside, since the source will not have what is cached. So is one that was not closed all
-- the time until its last write was there (the hold has passed, or fences or number were evicted): what was loaded meanwhile
-- is older than the write. Where only the number is gone nobody knows which write is the last; each then voids the key.
-- What frees comes first: a server that is out of memory refuses the rest unless the script has written.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
local dead = ARGV[4] == '1'
for i = 7, #ARGV, 2 do
  local at = 6 + (i - 7) / 2 * 3
  local data, fences, count = KEYS[at], KEYS[at + 1], KEYS[at + 2]
  local write = dead and redis.call('XRANGE', KEYS[2], ARGV[i], ARGV[i])[1]
  redis.call('XACK', KEYS[2], 'writers', ARGV[i])
  if write then
    -- By name: of fields that somebody else has put there may be too many to hand over.
    local fields = {}
    for at = #write[2] - 1, 1, -2 do
      fields[write[2][at]] = write[2][at + 1]
    end
    redis.call('XADD', KEYS[3], '*', 'id', ARGV[i], 'key', fields.key, 'payload', fields.payload or '')
  end
  if redis.call('XDEL', KEYS[2], ARGV[i]) == 1 then
    local left, void = redis.call('DECR', count), dead
    if left <= 0 then
      redis.call('UNLINK', count)
      local closed = lift(fences, 'writes') == 1
      void = void or left < 0 or not closed
    end
    if void then
      redis.call('UNLINK', data)
      local previous, position = append(KEYS[4], KEYS[5], ARGV[i + 1], ARGV[6])
      redis.call('PUBLISH', ARGV[5], previous .. ' ' .. position .. ' ' .. ARGV[i + 1])
    end
  end
end
if ARGV[2] ~= '0' then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
else
  redis.call('UNLINK', KEYS[1])
  if ARGV[3] ~= '0' then
    redis.call('SET', KEYS[1], 'rests', 'PX', ARGV[3])
  end
end
return 1
