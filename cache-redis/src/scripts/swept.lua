-- KEYS: the rules.
-- ARGV: the field of the rule; its position; the channel; what to announce there.
-- Forgets a rule that everything has been scanned for, unless it was given again since.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 0
end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 1
