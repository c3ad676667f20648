-- KEYS: the data key.
-- ARGV: the lease without its flag; its new time to live in milliseconds.
-- Returns 1 when the key holds the lease, else 0.
if redis.call('GETRANGE', KEYS[1], 0, 19) ~= ARGV[1] then
  return 0
end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
