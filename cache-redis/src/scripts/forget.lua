-- KEYS: the rules.
-- ARGV: fields of the hash, each with its position.
-- Forgets rules that cannot void anything any more, unless they were given again since. Returns how many.
local forgotten = 0
for i = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then
    forgotten = forgotten + redis.call('HDEL', KEYS[1], ARGV[i])
  end
end
return forgotten
