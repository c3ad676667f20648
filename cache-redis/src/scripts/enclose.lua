-- KEYS: the data key; its fences.
-- ARGV: the lease; its time to live in milliseconds; the token of a fence.
-- Returns 1 when the lease was put: when the key is empty and has this fence and no other. Else 0.
if redis.call('ZCARD', KEYS[2]) ~= 1 or not redis.call('ZSCORE', KEYS[2], ARGV[3]) then
  return 0
end
return redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2], 'NX') and 1 or 0
