-- KEYS: what says who works on the partition; its stream; the dead letters; for each write, the fences of its key and the
-- number of its pending writes.
-- ARGV: the worker; for how many milliseconds it keeps the partition, or 0; for how many nobody takes it, or 0; 1 if the
-- writes are to be put aside; for each write, its id.
-- Returns 1 when the partition was the worker's, else 0 and does nothing.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
for i = 5, #ARGV do
  local fences, count = KEYS[4 + (i - 5) * 2], KEYS[5 + (i - 5) * 2]
  if ARGV[4] == '1' then
    local write = redis.call('XRANGE', KEYS[2], ARGV[i], ARGV[i])[1]
    if write then
      redis.call('XADD', KEYS[3], '*', 'id', ARGV[i], unpack(write[2]))
    end
  end
  redis.call('XACK', KEYS[2], 'writers', ARGV[i])
  if redis.call('XDEL', KEYS[2], ARGV[i]) == 1 and redis.call('DECR', count) <= 0 then
    redis.call('UNLINK', count)
    redis.call('ZREM', fences, 'writes')
  end
end
if ARGV[2] ~= '0' then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
elseif ARGV[3] ~= '0' then
  redis.call('SET', KEYS[1], 'rests', 'PX', ARGV[3])
else
  redis.call('UNLINK', KEYS[1])
end
return 1
