-- KEYS: the rules.
-- ARGV: the field of the rule; its position; the channel; what to announce there.
-- Forgets a rule that everything has been scanned for, unless it was given again since. One that matches everything does so for
-- every pattern up to its position.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 0
end
redis.call('HDEL', KEYS[1], ARGV[1])
if ARGV[1] == 'p*' then
  local millis, sequence = string.match(ARGV[2], '^(%d+)-(%d+)$')
  local rules = redis.call('HGETALL', KEYS[1])
  for i = 1, #rules, 2 do
    local m, s = string.match(rules[i + 1], '^(%d+)-(%d+)$')
    -- What cannot be read counts as a clear, and is kept.
    if m and string.sub(rules[i], 1, 1) == 'p' and (m + 0 < millis + 0 or m == millis and s + 0 <= sequence + 0) then
      redis.call('HDEL', KEYS[1], rules[i])
    end
  end
end
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 1
